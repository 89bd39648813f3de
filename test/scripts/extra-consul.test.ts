import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { makeArchive } from '../support/apt-archive.js'
import { tempDir } from '../support/temp.js'

interface Options {
  readonly cache: string
  readonly etc: string
  readonly say: (line: string) => void
  readonly env?: Readonly<Record<string, string>>
}

const { ensureConsul } = (await import(new URL('../../scripts/extra-consul.mjs', import.meta.url).href)) as {
  ensureConsul: (options: Options) => Promise<string | undefined>
}

/** Folders of a machine whose apt has these sources; what is said about getting Consul is kept. */
function machine(sources: string) {
  const [cache, etc] = [join(tempDir(), 'cache'), tempDir()]
  writeFileSync(join(etc, 'sources.list'), sources)
  const said: string[] = []
  return { cache, etc, said, env: {}, say: (line: string) => void said.push(line) }
}

const onDebian = existsSync('/usr/bin/apt-get') ? describe : describe.skip

onDebian('Consul from another suite', () => {
  const program = (version: string) => `#!/bin/sh\necho "Consul v${version}"\n`
  const archive = (version: string) =>
    `${makeArchive('bullseye', 'consul', `${version}+dfsg1-2`, { 'usr/bin/consul': program(version) }).deb} stable main\n`

  test('is got once and kept: the next run asks nobody', async () => {
    const { said, ...options } = machine(archive('1.8.7'))
    const folder = join(options.cache, `consul-1.8.7-${process.arch}`)
    expect(await ensureConsul(options)).toBe(join(folder, 'consul'))
    expect([said, readdirSync(options.cache), readdirSync(folder)]).toEqual([
      [expect.stringContaining(folder)],
      [`consul-1.8.7-${process.arch}`],
      ['consul'],
    ])
    expect(await ensureConsul({ ...machine(''), cache: options.cache })).toBe(join(folder, 'consul'))
  })

  test.each([
    ['there is no apt source', () => ''],
    ['the suite has another version', () => archive('1.9.0')],
  ])('is not to be had, and that is said, when %s', async (_, sources) => {
    const { said, ...options } = machine(sources())
    expect(await ensureConsul(options)).toBeUndefined()
    expect(said.at(-1)).toMatch(/^Consul 1\.8\.7 is not to be had; its tests are skipped\. Reason: ./)
    expect(readdirSync(options.cache)).toEqual([])
  })

  test('is whatever CONSUL_BIN names', async () => {
    expect(await ensureConsul({ ...machine(''), env: { CONSUL_BIN: '/opt/consul' } })).toBe('/opt/consul')
  })
})
