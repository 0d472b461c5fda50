/* The start of migprep as one file: an isolated interpreter whose library and program are a zip inside this very ELF.
   Nothing is read from the machine's own Python, nothing is unpacked, and the environment of children stays clean. */

#include <Python.h>
#include <unistd.h>

PyMODINIT_FUNC PyInit__psutil_linux(void);

static const char *const START = "from migprep.cli import main\nraise SystemExit(main())";

/* Where this executable is: the kernel's word, else the name it was called by (a root without /proc). */
static const char *self(const char *called)
{
    return access("/proc/self/exe", R_OK) == 0 ? "/proc/self/exe" : called;
}

static PyStatus configured(PyConfig *config, int argc, char **argv)
{
    PyStatus status;
    wchar_t *path = Py_DecodeLocale(self(argv[0]), NULL);
    wchar_t *start = Py_DecodeLocale(START, NULL);

    if (path == NULL || start == NULL)
        return PyStatus_NoMemory();
    config->site_import = 0;
    config->parse_argv = 0;
    config->install_signal_handlers = 1;
    config->pathconfig_warnings = 0;
    config->module_search_paths_set = 1;
    status = PyWideStringList_Append(&config->module_search_paths, path);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetString(config, &config->executable, path);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetString(config, &config->prefix, L"");
    if (!PyStatus_Exception(status))
        status = PyConfig_SetString(config, &config->exec_prefix, L"");
    if (!PyStatus_Exception(status))
        status = PyConfig_SetString(config, &config->run_command, start);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetBytesArgv(config, argc, argv);
    PyMem_RawFree(path);
    PyMem_RawFree(start);
    return status;
}

int main(int argc, char **argv)
{
    PyPreConfig before;
    PyConfig config;
    PyStatus status;

    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1; /* old machines have LANG=C, and their files any encoding (PEP 540) */
    status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
    if (PyImport_AppendInittab("psutil._psutil_linux", PyInit__psutil_linux) < 0)
        return 1;
    PyConfig_InitIsolatedConfig(&config);
    status = configured(&config, argc, argv);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
    return Py_RunMain();
}
