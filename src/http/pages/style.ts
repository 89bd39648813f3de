import { createHash } from 'node:crypto'

/** The page's only style sheet, within the page; the policy below allows exactly this text and nothing else. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1d2730; --dim: #5d6b78; --line: #e1e6ea; --paper: #fbfcfc; --card: #fff;
  --good: #1a7f4b; --wait: #96600a; --bad: #b3261e; --link: #1b5fa8 }
@media (prefers-color-scheme: dark) { :root { --ink: #dde4ea; --dim: #93a1ad; --line: #2b343c; --paper: #14191d;
  --card: #1a2126; --good: #5cc98f; --wait: #dfae58; --bad: #f28b82; --link: #86b7ee } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.75rem 1.25rem 3rem; max-width: 72rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif; overflow-wrap: anywhere }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1rem }
h1 { font-size: 1.35rem; margin: 0 }
h2 { font-size: .8rem; margin: 2rem 0 .5rem; color: var(--dim); font-weight: 600; text-transform: uppercase;
  letter-spacing: .06em }
h2 b { color: var(--ink); font-weight: 600 }
a { color: var(--link); text-decoration: none }
a:hover, a:focus-visible { text-decoration: underline }
small, .dim { color: var(--dim); font-size: .87rem }
.good { color: var(--good) } .wait { color: var(--wait) } .bad { color: var(--bad) }
.state { font-weight: 600 }
ul { list-style: none; margin: 0; padding: 0; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px }
li { padding: .6rem 1rem; border-top: 1px solid var(--line) }
li:first-child { border-top: 0 }
.row { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 3fr) minmax(0, 5fr); gap: .25rem 1.25rem }
.pair { display: grid; grid-template-columns: minmax(0, 2fr) minmax(0, 6fr); gap: .25rem 1.25rem }
.row > * > div + div { margin-top: .15rem }
.dot::before { content: ''; display: inline-block; width: .5rem; height: .5rem; margin-right: .5rem;
  border-radius: 50%; background: currentColor; vertical-align: .06rem }
code { font: .87rem/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
.empty { padding: .9rem 1rem; color: var(--dim) }
footer { margin-top: 2.5rem; color: var(--dim); font-size: .87rem; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem }
@media (max-width: 44rem) { body { padding: 1.1rem .8rem 2rem } .row, .pair { grid-template-columns: 1fr } }
`

const styleHash = createHash('sha256').update(STYLE).digest('base64')

/** Nothing may be loaded, run, framed or sent from the page; its style is allowed by hash, its icon by `data:`. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${styleHash}'`,
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')
