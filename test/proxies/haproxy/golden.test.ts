import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from '@jest/globals'
import { execa } from 'execa'
import { parse } from 'yaml'
import { labelRulesOf } from '../../../src/config/label-rules.js'
import { type Settings, settingsSchema } from '../../../src/config/schema.js'
import { systemClock } from '../../../src/lib/clock.js'
import { silentLogger } from '../../../src/lib/logger.js'
import type { Instance } from '../../../src/model/instance.js'
import { createPlanner } from '../../../src/model/planner.js'
import { createHaproxy } from '../../../src/proxies/haproxy/index.js'
import type { RenderedFile } from '../../../src/publish/files.js'
import { toInstance } from '../../../src/sources/file/entry.js'
import { describeHaproxys } from '../../support/haproxy-bins.js'
import { makePem } from '../../support/pem.js'
import { BASE_CONFIG } from '../../support/rig.js'
import { tempDir } from '../../support/temp.js'

const GOLDEN = fileURLToPath(new URL('../../golden/haproxy', import.meta.url))
const SEPARATOR = '=====\n'
/** They are the same in every file, so only the one that asks for them shows them. */
const PAGES = ['503.http', 'sorry.html']

/** What stands above the separator. */
interface Input {
  /** As in `hostler.yml`. */
  readonly settings?: Record<string, unknown>
  /** As in `stacks.yml`. */
  readonly instances?: readonly unknown[]
  /** Names of certificates in the folder; `server.pem` is the default one. */
  readonly certificates?: readonly string[]
  /** The operator's own base configuration. */
  readonly base?: string
  readonly pages?: boolean
}

/** `UPDATE_GOLDEN=1` writes what is rendered into the files; look at the difference before you commit it. */
describeHaproxys(['openssl'], 'the golden files', ({ bin }) => {
  let pem = ''
  beforeAll(async () => {
    pem = (await makePem('golden.example.com')).both
  })

  test.each(readdirSync(GOLDEN))('%s is what its instances render to, and HAProxy does not warn', async (file) => {
    const [text = '', expected] = readFileSync(join(GOLDEN, file), 'utf8').split(SEPARATOR)
    const input = (parse(text) ?? {}) as Input
    const dir = tempDir()
    const settings = lay(dir, input, pem)
    const files = render(settings, input)
    const shown = printed(files.filter(({ path }) => input.pages === true || !PAGES.includes(basename(path))))
    const output = shown.replaceAll(dir, '/etc/haproxy')
    if (process.env['UPDATE_GOLDEN']) writeFileSync(join(GOLDEN, file), `${text}${SEPARATOR}${output}`)
    else expect(output).toBe(expected)
    expect(await verdict(bin, settings, files)).toEqual([])
  })
})

function lay(dir: string, { settings = {}, certificates = [], base }: Input, pem: string): Settings {
  mkdirSync(join(dir, 'certs'))
  if (base === undefined) copyFileSync(BASE_CONFIG, join(dir, 'haproxy.cfg'))
  else writeFileSync(join(dir, 'haproxy.cfg'), base.replaceAll('/etc/haproxy', dir))
  for (const name of certificates) {
    writeFileSync(name === 'server.pem' ? join(dir, name) : join(dir, 'certs', name), pem)
  }
  const haproxy = {
    config: join(dir, 'haproxy.cfg'),
    backendConfig: join(dir, 'haproxy-backends.cfg'),
    domainMap: join(dir, 'domain.map'),
    sslCert: join(dir, 'server.pem'),
    certDir: join(dir, 'certs'),
    // Two show what they look like.
    spareBackends: 2,
  }
  return settingsSchema.parse({ domain: 'ci.example.com', ...settings, haproxy })
}

function render(settings: Settings, { instances = [] }: Input): RenderedFile[] {
  const facts = instances.map((entry) => toInstance(entry) as Instance)
  const proxy = createHaproxy(settings, { log: silentLogger(), clock: systemClock, duty: 'publish' })
  return proxy.render(createPlanner(labelRulesOf(settings, { wakes: ['file'], holds: true }))(facts))
}

const printed = (files: readonly RenderedFile[]): string =>
  files.map(({ path, content }) => `==> ${basename(path)} <==\n${content}`).join('')

/** What `haproxy -c` has against the files; that a name of a test cannot be resolved is none of it. */
async function verdict(bin: string, { haproxy }: Settings, files: readonly RenderedFile[]): Promise<string[]> {
  for (const { path, content } of files) writeFileSync(path, content)
  const configs = [
    haproxy.config,
    ...files
      .map(({ path }) => path)
      .filter((path) => path.endsWith('.cfg'))
      .sort(),
  ]
  const env = { HAPROXY_STATS_SOCKET: join(haproxy.certDir, 'admin.sock'), SYSLOG_HOST: '', ENABLE_STATS: 'true' }
  const { all } = await execa(bin, ['-c', ...configs.flatMap((path) => ['-f', path])], {
    env: { ...env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
    all: true,
    reject: false,
  })
  return all.split('\n').filter((line) => /^\[(?:WARNING|ALERT)\]/.test(line) && !line.includes('could not resolve'))
}
