// Sets the theme before anything is painted. It is a file of its own because the page's policy allows no inline script.
(function () {
  var wish = null;
  try {
    wish = localStorage.getItem('dw.theme');
  } catch (e) {
    wish = null; // storage can be forbidden; the system's theme is then taken
  }
  var dark = wish === 'dark' || (wish !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
})();
