// The node's pictures of workflows as elements of this page.

/** An SVG document as an element. It is the node's own, and scripts in it would not run here: the page allows only its files. */
export function picture(text) {
  const parsed = new DOMParser().parseFromString(text, 'image/svg+xml').documentElement;
  return document.importNode(parsed, true);
}
