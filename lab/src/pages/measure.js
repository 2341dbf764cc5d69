// Writes what the document shows into it, as JSON. Colors are compared by the contrast ratio of
// WCAG 2.2.
addEventListener("load", () => {
  const rgb = (text) => {
    const numbers = (text.match(/[\d.]+/g) || []).map(Number);
    return { rgb: numbers.slice(0, 3), alpha: numbers.length > 3 ? numbers[3] : text.startsWith("rgb") ? 1 : 0 };
  };
  const luminance = ([r, g, b]) => {
    const linear = (c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const contrast = (a, b) => {
    const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (light + 0.05) / (dark + 0.05);
  };
  // A picture's own paper, or what the nearest element behind it is painted with.
  const ground = (element) => {
    const paper = element.closest("svg")?.querySelector(":scope > .paper");
    if (paper) return getComputedStyle(paper).fill;
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (rgb(color).alpha === 1) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const shown = (element, index, all) => {
    const svg = element.closest("svg");
    const style = getComputedStyle(element);
    const outer = svg ? svg.getBoundingClientRect() : null;
    const color = svg ? style.fill : style.color;
    const edges = (r) => ({ left: r.left, top: r.top, right: r.right, bottom: r.bottom });
    return {
      text: element.textContent.trim().slice(0, 40),
      edges: edges(element.getBoundingClientRect()),
      // The line box of a label has more room above and below than its letters take.
      leading: svg ? parseFloat(style.fontSize) * (outer.width / svg.viewBox.baseVal.width) * 0.2 : 0,
      size: parseFloat(style.fontSize) * (svg ? outer.width / svg.viewBox.baseVal.width : 1),
      picture: outer && edges(outer),
      // Elements of a page contain one another: on those of these numbers it may lie.
      within: all.flatMap((other, number) => (other !== element && other.contains(element) ? [number] : [])),
      contrast: contrast(rgb(color).rgb, rgb(ground(element)).rgb),
    };
  };
  const own = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
  const silent = new Set(["title", "desc", "style", "script", "defs"]);
  const all = [...document.querySelectorAll("body *")].filter((e) => own(e) && !silent.has(e.localName));
  const root = document.documentElement;
  const lines = [...document.querySelectorAll("svg .outline, svg .ruler, svg .curve, svg .spread")];
  const measured = JSON.stringify({
    texts: all.filter((e) => e.getClientRects().length).map(shown),
    lines: lines.map((e) => contrast(rgb(getComputedStyle(e).stroke).rgb, rgb(ground(e)).rgb)),
    ground: ground(all[0] || root),
    widths: [window.innerWidth, root.scrollWidth],
    fetched: performance.getEntriesByType("resource").map((entry) => entry.name),
  });
  const pre = document.createElement("pre");
  pre.id = "measured";
  pre.hidden = true;
  // ASCII without markup, so that the printed document holds it as it is.
  const escaped = (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0");
  pre.textContent = measured.replace(/[^ -~]|[&<>]/g, escaped);
  document.body.append(pre);
});
