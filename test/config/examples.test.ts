import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { execa } from 'execa'
import { parse } from 'yaml'
import { catalogue } from '../../src/config/catalogue.js'
import { programPath } from '../support/machine.js'
import { describeWith } from '../support/servers.js'
import { tempDir } from '../support/temp.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const FILES = ['haproxy', 'traefik', 'many-hosts'].flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.yml') && name !== 'traefik.yml')
    .map((name) => join(folder, name)),
)
const settings = new Set(catalogue.flatMap(({ env }) => env))

/** What an operator has to say where an example has no default. */
const ASKED = { HOST_NAME: 'host-1', HOST_ADDRESS: '10.0.0.11', REGISTRY_ADDRESS: '10.0.0.10' }

interface Service {
  readonly image?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly volumes?: readonly string[]
}

/** Those that run Hostler beside a proxy of theirs. */
const OWN = FILES.filter((file) => !file.startsWith('many-hosts'))

/** The file with the lines that are commented out for a reader to take in. */
const takenIn = (file: string): string =>
  readFileSync(join(ROOT, file), 'utf8').replace(/^( +)# ((?:- |[A-Z_]+: ).*)$/gm, '$1$2')

describe('the compose examples', () => {
  test.each(FILES)('%s names settings that there are', (file) => {
    const { services } = parse(readFileSync(join(ROOT, file), 'utf8')) as { services: Record<string, Service> }
    const ours = Object.values(services).filter(({ environment = {}, image }) =>
      image === undefined ? true : image.startsWith('hostler') || 'HOSTLER_DOMAIN' in environment,
    )
    const named = ours.flatMap(({ environment = {} }) => Object.keys(environment))
    expect(named.filter((name) => !settings.has(name))).toEqual([])
  })

  test.each(OWN)('%s holds more that can be taken in, with settings that there are: templates among it', (file) => {
    const [before, after] = [readFileSync(join(ROOT, file), 'utf8'), takenIn(file)].map(
      (text) => (parse(text) as { services: Record<string, Service> }).services['hostler'],
    )
    const added = Object.keys(after?.environment ?? {}).filter((name) => !(name in (before?.environment ?? {})))
    expect(added).toContain('HOSTLER_TEMPLATES')
    expect(added.filter((name) => !settings.has(name))).toEqual([])
    const folders = (after?.volumes ?? []).map((volume) => volume.split(':')[1])
    const named = added.map((name) => after?.environment?.[name] ?? '').filter((value) => value.startsWith('/'))
    expect(named.filter((path) => !folders.some((folder) => folder && path.startsWith(folder)))).toEqual([])
  })

  test.each(FILES.filter((file) => file.startsWith('many-hosts')))('%s says what it needs to know', (file) => {
    const text = readFileSync(join(ROOT, file), 'utf8')
    const [, without] = /^#.*?((?:[A-Z_]+=\S+ )+)docker compose -f/m.exec(text) ?? []
    const said = without
      ?.trim()
      .split(' ')
      .map((word) => word.split('=')[0])
    const needed = [...text.matchAll(/\$\{([A-Z_]+):?\?/g)].map(([, name]) => name)
    expect(said).toEqual(expect.arrayContaining(needed))
  })
})

describeWith(['docker-compose'], 'docker-compose', () => {
  const config = (env: Readonly<Record<string, string>>, ...files: string[]) =>
    execa(programPath('docker-compose'), [...files.flatMap((file) => ['--file', join(ROOT, file)]), 'config'], { env })

  test.each(FILES)('takes %s', async (file) => {
    const { services } = parse((await config(ASKED, file)).stdout) as { services: Record<string, Service> }
    expect(Object.keys(services).length).toBeGreaterThan(0)
  })

  test.each(OWN)('takes %s with all that can be taken in', async (file) => {
    const path = join(tempDir(), 'compose.yml')
    writeFileSync(path, takenIn(file))
    const { stdout } = await execa(programPath('docker-compose'), ['--file', path, 'config'])
    expect(stdout).toContain('/etc/hostler/templates:ro')
  })

  test.each(['etcd', 'consul'])(
    'takes the files for many hosts together, with %s: no volume is shared',
    async (kind) => {
      const files = [kind, 'agent', 'proxy'].map((name) => `many-hosts/${name}.yml`)
      const { stdout } = await config({ ...ASKED, REGISTRY: kind }, ...files)
      const { services } = parse(stdout) as { services: Record<string, Service> }
      expect(Object.keys(services).sort()).toEqual(['agent', 'hello', kind, 'proxy'].sort())
      expect(services['agent']?.environment?.['HOSTLER_REGISTRIES']).toBe(kind)
      expect(services['proxy']?.environment?.['HOSTLER_SOURCES']).toBe(kind)
      const volumes = Object.values(services).flatMap(({ volumes = [] }) =>
        volumes.map((volume) => volume.split(':')[0]),
      )
      expect(new Set(volumes).size).toBe(volumes.length)
    },
  )

  test('is told what is missing', async () => {
    const agent = config({ REGISTRY_ADDRESS: '10.0.0.10', HOST_ADDRESS: '' }, 'many-hosts/agent.yml')
    await expect(agent).rejects.toThrow(/HOST_NAME.*is what this host is called/)
  })
})
