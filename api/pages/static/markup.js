/** The one door by which HTML gets into our pages: that of comments, which the server has sanitised (`api/markdown.py`). */

const policy = globalThis.trustedTypes?.createPolicy("comments", { createHTML: (html) => html });

/** The HTML of a comment as a fragment, ready to be put somewhere. */
export function fragmentOf(html) {
  const template = document.createElement("template");
  template.innerHTML = policy ? policy.createHTML(html) : html;
  return template.content;
}
