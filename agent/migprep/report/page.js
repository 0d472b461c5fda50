"use strict";
(function () {
  var form = document.querySelector("form.filter");
  if (!form) return;
  form.hidden = false;
  var rows = Array.prototype.slice.call(document.querySelectorAll("[data-text]"));
  var told = document.getElementById("told");
  function apply() {
    var words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    var target = form.elements.target ? form.elements.target.value : "";
    var kinds = {}, any = false, count = 0;
    form.querySelectorAll("input[name=kind]").forEach(function (box) { any = true; kinds[box.value] = box.checked; });
    rows.forEach(function (row) {
      var text = row.getAttribute("data-text").toLowerCase();
      var fits = words.every(function (word) { return text.indexOf(word) >= 0; }) &&
        (!any || kinds[row.getAttribute("data-kind")] !== false) &&
        (!target || (" " + row.getAttribute("data-targets") + " ").indexOf(" " + target + " ") >= 0);
      row.hidden = !fits;
      count += fits ? 1 : 0;
    });
    document.querySelectorAll("section[data-group]").forEach(function (group) {
      group.hidden = !group.querySelector("[data-text]:not([hidden])");
    });
    told.textContent = count + " of " + rows.length + " shown";
  }
  form.addEventListener("input", apply);
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  document.addEventListener("keydown", function (event) {
    var typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing) { event.preventDefault(); form.elements.words.focus(); }
    if (event.key === "Escape" && typing) { form.elements.words.value = ""; apply(); document.activeElement.blur(); }
  });
  var opened = [];
  window.addEventListener("beforeprint", function () {
    opened = Array.prototype.slice.call(document.querySelectorAll(".finding details:not([open])"));
    opened.forEach(function (one) { one.open = true; });
  });
  window.addEventListener("afterprint", function () { opened.forEach(function (one) { one.open = false; }); });
  apply();
})();
