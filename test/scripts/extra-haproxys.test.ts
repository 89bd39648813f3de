import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { makeArchive } from '../support/apt-archive.js'
import { freePort } from '../support/ports.js'
import { tempDir } from '../support/temp.js'

interface Options {
  readonly cache: string
  readonly etc: string
  readonly say: (line: string) => void
  readonly timeoutMs?: number
}
type Convert = (text: string, releases: ReadonlySet<string>, suites: readonly string[]) => string

const load = (name: string) => import(new URL(`../../scripts/${name}`, import.meta.url).href)
const { extraHaproxy } = (await load('extra-haproxys.mjs')) as {
  extraHaproxy: (version: string, options: Options) => Promise<string | undefined>
}
const { otherLines, otherStanzas } = (await load('apt-suites.mjs')) as { otherLines: Convert; otherStanzas: Convert }

/** Folders of a machine whose apt has these sources; what is said about getting HAProxy is kept. */
function machine(sources: string) {
  const [cache, etc] = [join(tempDir(), 'cache'), tempDir()]
  writeFileSync(join(etc, 'sources.list'), sources)
  const said: string[] = []
  return { cache, etc, said, say: (line: string) => void said.push(line) }
}

const onDebian = existsSync('/usr/bin/apt-get') ? describe : describe.skip

onDebian('HAProxy from another suite', () => {
  // Stands for the loader that HAProxy is started with, and says what it was told.
  const loader = '#!/bin/sh\necho "HAProxy version 3.2.9 as $*"\n'
  const files = { 'usr/lib/some-linux-gnu/ld-linux-some.so.2': loader, 'usr/sbin/haproxy': '' }
  const archive = (version: string) => `${makeArchive('sid', 'haproxy', version, files).deb} stable main\n`

  test('is started through its own loader, with its own libraries, as what was called', async () => {
    const { cache, said, ...options } = machine(archive('3.2.9-1'))
    const program = await extraHaproxy('3.2', { cache, ...options })
    const folder = join(cache, `haproxy-3.2-${process.arch}`)
    expect([program, said]).toEqual([join(folder, 'haproxy'), [expect.stringContaining(folder)]])
    const libraries = join(folder, 'root/usr/lib/some-linux-gnu')
    expect(execFileSync(String(program), ['-W', 'two words'], { encoding: 'utf8' })).toBe(
      `HAProxy version 3.2.9 as --argv0 ${program} --library-path ${libraries} ${folder}/root/usr/sbin/haproxy -W two words\n`,
    )
    expect(readdirSync(cache)).toEqual([`haproxy-3.2-${process.arch}`])
  })

  test('is kept: the next run asks nobody, and mends one that does not start', async () => {
    const { cache, ...options } = machine(archive('3.2.9-1'))
    const program = await extraHaproxy('3.2', { cache, ...options })
    const offline = machine('')
    expect(await extraHaproxy('3.2', { ...offline, cache })).toBe(program)
    expect(offline.said).toEqual([])
    writeFileSync(String(program), '#!/bin/sh\nexit 1\n')
    expect(await extraHaproxy('3.2', { cache, ...options })).toBe(program)
    expect(execFileSync(String(program), { encoding: 'utf8' })).toMatch(/^HAProxy version 3\.2\.9/)
  })

  test('can be got by several runs at once', async () => {
    const { said: _, ...options } = machine(archive('3.2.9-1'))
    const programs = await Promise.all([1, 2, 3].map(() => extraHaproxy('3.2', options)))
    expect(new Set(programs)).toEqual(new Set([join(options.cache, `haproxy-3.2-${process.arch}`, 'haproxy')]))
    expect(readdirSync(options.cache)).toHaveLength(1)
  })

  test('is not to be had where the suite has another version, or nothing does, which is said', async () => {
    for (const sources of [archive('3.3.1-1'), '', 'deb http://127.0.0.1:9/ proprietary main\n']) {
      const { said, ...options } = machine(sources)
      expect(await extraHaproxy('3.2', options)).toBeUndefined()
      expect(said.at(-1)).toMatch(/^HAProxy 3\.2 is not to be had; its tests are skipped\. Reason: ./)
      expect(readdirSync(options.cache)).toEqual([])
    }
  })

  test('is given up when the archive does not answer', async () => {
    const port = await freePort()
    const server = createServer(() => undefined).listen(port, '127.0.0.1')
    const { said, ...options } = machine(`deb [trusted=yes] http://127.0.0.1:${port}/ stable main\n`)
    expect(await extraHaproxy('3.2', { ...options, timeoutMs: 1000 })).toBeUndefined()
    expect(said.at(-1)).toContain('not to be had')
    expect(readdirSync(options.cache)).toEqual([])
    server.close()
  })

  test('what a killed run left is removed, but not what another one is making', async () => {
    const { said: _, ...options } = machine('')
    const [abandoned, busy] = [join(options.cache, '.building-old'), join(options.cache, '.building-new')]
    for (const folder of [abandoned, busy]) mkdirSync(folder, { recursive: true })
    utimesSync(abandoned, 1, 1)
    await extraHaproxy('3.2', options)
    expect(readdirSync(options.cache)).toEqual(['.building-new'])
  })
})

describe("the machine's sources with other suites", () => {
  const releases = new Set(['stable', 'bookworm'])

  test('in lines keep their options and components, and leave out updates and strangers', () => {
    const text = `# a comment
deb [arch=amd64 signed-by=/k.gpg] http://a.test/debian bookworm main contrib
deb http://a.test/debian bookworm-updates main
deb-src http://a.test/debian bookworm main
deb http://b.test/tools any main
`
    expect(otherLines(text, releases, ['sid', 'experimental'])).toBe(
      `deb [arch=amd64 signed-by=/k.gpg] http://a.test/debian sid main contrib
deb [arch=amd64 signed-by=/k.gpg] http://a.test/debian experimental main contrib
`,
    )
  })

  test('in stanzas keep their other fields, and leave out what is off', () => {
    const text = `Types: deb deb-src
# a comment
URIs: http://a.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 first line of a key
 second line

Types: deb
URIs: http://a.test/security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://c.test/debian
Suites: stable
Components: main
`
    expect(otherStanzas(text, releases, ['trixie'])).toBe(
      `Types: deb
# a comment
URIs: http://a.test/debian
Suites: trixie
Components: main
Signed-By:
 first line of a key
 second line

`,
    )
  })
})
