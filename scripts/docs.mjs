// `npm run docs`: rewrites the parts of README.md that are made from the source. Each lies between two markers.
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const readme = `${root}README.md`
// Inside the project, so that the compiled modules find their packages; not in dist, which others may be running.
const compiled = `${root}.cache/docs-${process.pid}`

function between(text, name, content) {
  const [start, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const from = text.indexOf(start)
  const to = text.indexOf(end, from)
  if (from < 0 || to < 0) throw new Error(`README.md has no ${start} … ${end}`)
  return `${text.slice(0, from + start.length)}\n${content}\n${text.slice(to)}`
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
  const text = between(readFileSync(readme, 'utf8'), 'settings', settingsTable())
  writeFileSync(readme, between(text, 'helpers', helpersTable()))
} finally {
  rmSync(compiled, { recursive: true, force: true })
}
