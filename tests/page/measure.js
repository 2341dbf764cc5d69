// One expression: what the document shows, as a value. Colours are compared by the contrast ratio of WCAG 2.2.
(() => {
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
      const colour = getComputedStyle(at).backgroundColor;
      if (rgb(colour).alpha === 1) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const shown = (element, index, all) => {
    const svg = element.closest("svg");
    const style = getComputedStyle(element);
    const outer = svg ? svg.getBoundingClientRect() : null;
    const colour = svg ? style.fill : style.color;
    const box = (r) => ({ left: r.left, top: r.top, right: r.right, bottom: r.bottom });
    return {
      text: element.textContent.trim().slice(0, 40),
      box: box(element.getBoundingClientRect()),
      // The line box of a label has more room above and below than its letters take.
      leading: svg ? parseFloat(style.fontSize) * (outer.width / svg.viewBox.baseVal.width) * 0.2 : 0,
      size: parseFloat(style.fontSize) * (svg ? outer.width / svg.viewBox.baseVal.width : 1),
      picture: outer && box(outer),
      // Elements of a page contain one another: on those of these numbers it may lie.
      within: all.flatMap((other, number) => (other !== element && other.contains(element) ? [number] : [])),
      contrast: contrast(rgb(colour).rgb, rgb(ground(element)).rgb),
    };
  };
  const own = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
  const silent = new Set(["title", "desc", "style", "script", "defs"]);
  const all = [...document.querySelectorAll("*")].filter((e) => own(e) && !silent.has(e.localName) && (e.closest("body") || e.closest("svg")));
  const root = document.documentElement;
  const page = ground(document.body || root.querySelector("text") || root);
  const frames = [...document.querySelectorAll("svg .outline, svg .ruler, svg .mark:not(.absent)")];
  return {
    texts: all.filter((e) => e.getClientRects().length).map(shown),
    frames: frames.map((e) => contrast(rgb(getComputedStyle(e).stroke).rgb, rgb(ground(e)).rgb)),
    ground: page,
    window: window.innerWidth,
    content: document.body ? root.scrollWidth : root.getBoundingClientRect().right,
  };
})()
