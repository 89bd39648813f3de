// `npm run docs`: rewrites the parts of the pages in docs/ that are made from the source. Each lies between two markers.
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
// Inside the project, so that the compiled modules find their packages; not in dist, which others may be running.
const compiled = `${root}.cache/docs-${process.pid}`

function write(page, name, content) {
  const path = `${root}docs/${page}`
  const text = readFileSync(path, 'utf8')
  const [start, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const from = text.indexOf(start)
  const to = text.indexOf(end, from)
  if (from < 0 || to < 0) throw new Error(`docs/${page} has no ${start} … ${end}`)
  writeFileSync(path, `${text.slice(0, from + start.length)}\n${content}\n${text.slice(to)}`)
}

try {
  spawnSync(
    `${root}node_modules/.bin/tsc`,
    ['-p', 'tsconfig.build.json', '--outDir', compiled, '--sourceMap', 'false'],
    {
      cwd: root,
      stdio: ['ignore', 2, 2],
    },
  )
  const { settingsTable } = await import(`${compiled}/config/describe.js`)
  const { helpersTable } = await import(`${compiled}/render/describe.js`)
  write('settings.md', 'settings', settingsTable())
  write('templates.md', 'helpers', helpersTable())
} finally {
  rmSync(compiled, { recursive: true, force: true })
}
