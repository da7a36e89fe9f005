// What a person with poor sight, a keyboard or a screen reader would stumble over on this page.
() => {
  const wrong = [];
  const shown = (each) => each.checkVisibility({ visibilityProperty: true }) && each.getBoundingClientRect().width > 1;
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((one) => {
      const part = one / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (each) => {
    for (let at = each; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if ((color[3] ?? 1) > 0) return color;
    }
    return [255, 255, 255];
  };
  let texts = 0;
  for (const each of document.body.querySelectorAll("*")) {
    const own = [...each.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!own || !shown(each) || each.matches("script, style")) continue;
    texts += 1;
    const style = getComputedStyle(each);
    const [one, two] = [luminance(parse(style.color)), luminance(behind(each))].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= 24;
    const ratio = (one + 0.05) / (two + 0.05);
    if (ratio < (large ? 3 : 4.5)) wrong.push(`contrast ${ratio.toFixed(1)}: ${each.textContent.slice(0, 30)}`);
  }
  if (texts < 8) wrong.push("nothing was looked at");
  for (const each of document.querySelectorAll("input, textarea, button")) {
    const name = each.labels?.[0]?.textContent ?? each.textContent;
    if (!name.trim()) wrong.push(`no name: ${each.outerHTML}`);
    const target = (each.matches(".file, [type=checkbox], [type=radio]") ? each.labels[0] : each).getBoundingClientRect();
    if (shown(each) && (target.height < 24 || target.width < 24)) wrong.push(`too small to hit: ${each.id}`);
  }
  for (const each of document.querySelectorAll("[aria-describedby], [aria-labelledby], label[for]")) {
    for (const name of ["aria-describedby", "aria-labelledby", "for"]) {
      for (const id of (each.getAttribute(name) ?? "").split(" ").filter(Boolean)) {
        if (!document.getElementById(id)) wrong.push(`nothing is called ${id}`);
      }
    }
  }
  const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
  if (new Set(ids).size < ids.length) wrong.push("an id stands twice");
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].filter((each) => each.checkVisibility()).map((each) => Number(each.tagName[1]));
  if (levels[0] !== 1 || levels.some((level, at) => at && level > levels[at - 1] + 1)) wrong.push(`headings ${levels}`);
  for (const each of document.querySelectorAll("svg")) {
    if (each.getAttribute("aria-hidden") !== "true") wrong.push("a picture without a text");
  }
  if (!document.querySelector("[role=status][aria-live=polite]")) wrong.push("the verdict is not announced");
  if (!document.title || !document.documentElement.lang) wrong.push("no title or language");
  if (document.querySelectorAll("main, header, footer").length < 3) wrong.push("no landmarks");
  if (document.querySelector("[tabindex]:not([tabindex='0'], [tabindex='-1'])")) wrong.push("an order of its own");
  if (document.documentElement.scrollWidth > innerWidth) wrong.push(`wider than the screen: ${document.documentElement.scrollWidth}`);
  return wrong;
}
