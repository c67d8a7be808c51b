/** The page's whole style; both schemes come from `light-dark`. */
export const DOCS_STYLE = `
:root { color-scheme: light dark; --text: light-dark(#1c2128, #dfe4ea); --quiet: light-dark(#59636e, #9aa4b0);
  --page: light-dark(#ffffff, #14181d); --panel: light-dark(#f5f7f9, #1c2229); --line: light-dark(#d9dee4, #303842);
  --link: light-dark(#0b5cad, #7ab8f5); --get: light-dark(#0b6b46, #5fd3a1); --post: light-dark(#0b5cad, #7ab8f5);
  --put: light-dark(#8a5300, #eab765); --delete: light-dark(#a52222, #f08d8d); }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); }
a { color: var(--link); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
code, pre, .path { font: 0.875em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
nav { padding: 1rem; border-bottom: 1px solid var(--line); background: var(--panel); font-size: 0.875rem; }
nav .title { margin: 0 0 0.5rem; font-weight: 600; }
nav h2 { margin: 0.75rem 0 0.25rem; font-size: 0.75rem; color: var(--quiet); text-transform: uppercase; letter-spacing: 0.05em; }
nav ul { margin: 0; padding: 0; list-style: none; }
nav li a { display: flex; gap: 0.5rem; align-items: baseline; padding: 0.125rem 0; }
nav .path { color: var(--text); }
main { padding: 1rem; max-width: 56rem; min-width: 0; }
h1 { margin: 0.5rem 0; font-size: 1.75rem; line-height: 1.2; }
section > h2, main > h2 { margin: 2.5rem 0 0.25rem; font-size: 1.375rem; }
h3 { display: flex; flex-wrap: wrap; gap: 0.625rem; align-items: baseline; margin: 0; font-size: 1.0625rem; }
h4 { margin: 1rem 0 0.25rem; font-size: 0.75rem; color: var(--quiet); text-transform: uppercase; letter-spacing: 0.05em; }
p { margin: 0.375rem 0; }
article { margin: 1rem 0; padding: 1rem; border: 1px solid var(--line); border-radius: 8px; scroll-margin-top: 1rem; }
article:target { border-color: var(--link); }
.summary { font-weight: 600; }
.access, .type, .errors, summary { color: var(--quiet); font-size: 0.875rem; }
.type, summary { overflow-wrap: anywhere; }
.method { flex: none; min-width: 3.25rem; font-size: 0.75rem; letter-spacing: 0.03em; }
.get { color: var(--get); } .post { color: var(--post); } .put { color: var(--put); } .delete { color: var(--delete); }
.required { font-size: 0.75rem; color: var(--put); }
.fields { margin: 0.25rem 0; padding: 0 0 0 0.875rem; border-left: 2px solid var(--line); list-style: none; }
.fields > li { padding: 0.25rem 0; }
.errors a { display: inline-block; margin-right: 0.75rem; color: var(--quiet); }
.status { font-variant-numeric: tabular-nums; color: var(--text); }
details { margin: 0.25rem 0; }
summary { cursor: pointer; }
pre { margin: 0.25rem 0; padding: 0.75rem; overflow-x: auto; overflow-wrap: normal; background: var(--panel); border-radius: 6px; }
dl { margin: 0.5rem 0; } dt { margin-top: 0.5rem; scroll-margin-top: 1rem; } dd { margin: 0; }
@media (max-width: 60rem) { nav { max-height: 40vh; overflow-y: auto; } }
@media (min-width: 60rem) {
  body { display: grid; grid-template-columns: 21rem minmax(0, 1fr); }
  nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; border-right: 1px solid var(--line); border-bottom: 0; }
  main { padding: 1rem 2rem 4rem; }
}
`;
