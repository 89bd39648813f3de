import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { type ConfigInputs, type LoadedConfig, loadConfig } from '../../src/config/load.js'
import { HostlerError } from '../../src/lib/errors.js'
import { SOURCE_NAMES } from '../../src/sources/names.js'
import { tempDir } from '../support/temp.js'

const folder = tempDir('hostler-config-')
let made = 0

function file(content: string): string {
  const path = join(folder, `${made++}.txt`)
  writeFileSync(path, content)
  return path
}

/** An empty settings file by default, so that no hostler.yml of the machine plays a part. */
const load = (inputs: Partial<ConfigInputs> = {}): LoadedConfig =>
  loadConfig({ env: inputs.env ?? {}, flags: inputs.flags ?? new Map(), file: inputs.file ?? file('') })

function mistakesOf(inputs: Partial<ConfigInputs>): string[] {
  try {
    load(inputs)
  } catch (error) {
    expect(error).toBeInstanceOf(HostlerError)
    expect((error as HostlerError).code).toBe('CONFIG')
    return (error as HostlerError).message.split('\n')
  }
  return []
}

describe('the order of settings', () => {
  test('flags override the environment, which overrides the file, which overrides the default', () => {
    const settingsFile = file('domain: file.example.com\npollInterval: 20s\nhttp:\n  port: 8081\n')
    const env = { HOSTLER_DOMAIN: 'env.example.com', HOSTLER_POLL_INTERVAL: '30s' }
    const { settings, origins } = load({ file: settingsFile, env, flags: new Map([['domain', 'flag.example.com']]) })
    expect(settings).toMatchObject({ domain: 'flag.example.com', pollInterval: 30_000, http: { port: 8081 } })
    expect(settings.https.port).toBe(443)
    expect([...origins]).toEqual([
      ['domain', 'flag'],
      ['pollInterval', 'env HOSTLER_POLL_INTERVAL'],
      ['http.port', settingsFile],
    ])
  })

  test("a command's own default is overridden by the file", () => {
    const defaults = new Map([
      ['domain', 'command.example.com'],
      ['proxy', 'none'],
    ])
    const { settings, origins } = loadConfig({ env: {}, defaults, file: file('domain: file.example.com') })
    expect([settings.domain, settings.proxy]).toEqual(['file.example.com', ['none']])
    expect(origins.get('proxy')).toBe("the command's default")
  })

  test('a predecessor variable is an alias, and our own name wins over it', () => {
    expect(load({ env: { STACK_DOMAIN: 'old.example.com' } }).settings.domain).toBe('old.example.com')
    const both = load({ env: { STACK_DOMAIN: 'old.example.com', HOSTLER_DOMAIN: 'new.example.com' } })
    expect(both.settings.domain).toBe('new.example.com')
  })

  test('an empty variable counts as not set, also the one that names the file', () => {
    const { settings, origins } = load({
      env: { HOSTLER_DOMAIN: '', STACK_DOMAIN: 'ci.example.com', HOSTLER_CONFIG: '' },
    })
    expect(settings.domain).toBe('ci.example.com')
    expect(origins.get('domain')).toBe('env STACK_DOMAIN')
    expect(loadConfig({ env: { HOSTLER_CONFIG: '' } }).settings.http.port).toBe(80)
  })

  test('HOSTLER_CONFIG names the file, and --config wins over it', () => {
    const env = { HOSTLER_CONFIG: file('domain: a.example.com') }
    expect(loadConfig({ env }).settings.domain).toBe('a.example.com')
    expect(load({ env, file: file('domain: b.example.com') }).settings.domain).toBe('b.example.com')
  })

  test('FOO_FILE reads FOO from a file without its last line break', () => {
    const env = { STATS_PASSWORD_FILE: file('s3cret\n'), STACK_DOMAIN_FILE: file('ci.example.com\n') }
    const { settings, origins } = load({ env })
    expect(settings.stats.password).toBe('s3cret')
    expect(settings.domain).toBe('ci.example.com')
    expect(origins.get('stats.password')).toBe('env STATS_PASSWORD_FILE')
  })

  test('FOO wins over FOO_FILE, and HOSTLER_FILE is a setting of its own', () => {
    const env = { STATS_PASSWORD: 'direct', STATS_PASSWORD_FILE: '/nowhere', HOSTLER_FILE: '/srv/stacks.yml' }
    const { settings } = load({ env })
    expect(settings.stats.password).toBe('direct')
    expect(settings.file.path).toBe('/srv/stacks.yml')
  })

  test('a key with nothing behind it counts as not set', () => {
    expect(load({ file: file('domain:\nhttp:\nlog:\n  level:\n') }).settings).toMatchObject({
      domain: '',
      http: { port: 80 },
      log: { level: 'info' },
    })
  })

  test('settings are frozen all the way down', () => {
    const { settings } = load()
    expect(Object.isFrozen(settings)).toBe(true)
    expect(Object.isFrozen(settings.docker.hosts)).toBe(true)
  })
})

describe('mistakes', () => {
  test('every mistake gets one line, wherever it was made', () => {
    const lines = mistakesOf({
      file: file('pollInterval: soon\ndomian: x\nhttp: 80\nhttps:\n  prot: 1\n'),
      env: { HOSTLER_HTTP_PORT: '70000', HOSTLER_SORCES: 'docker', HOSTLER_SOURCES: 'docker,a\nb' },
      flags: new Map([['log.levle', 'info']]),
    })
    expect(lines.map((line) => line.replace(folder, ''))).toEqual([
      expect.stringMatching(/^\/\d+\.txt: no setting is called "domian"\. Did you mean domain\?$/),
      expect.stringMatching(/^\/\d+\.txt: "http" is a group of settings; indent them below it$/),
      expect.stringMatching(/^\/\d+\.txt: no setting is called "https\.prot"\. Did you mean https\.port\?$/),
      'environment: no setting is called "HOSTLER_SORCES". Did you mean HOSTLER_SOURCES?',
      '--set: no setting is called "log.levle". Did you mean log.level?',
      `env HOSTLER_SOURCES: sources = "docker,a\\nb" does not know "a\\nb"; it takes ${SOURCE_NAMES.join(', ')}`,
      expect.stringMatching(/^\/\d+\.txt: pollInterval = "soon" is not a duration; write 500ms, 10s, 15m, 2h or 1d$/),
      'env HOSTLER_HTTP_PORT: http.port = "70000" is not a whole number from 1 to 65535',
    ])
  })

  test('a file that cannot be read or parsed is named', () => {
    expect(mistakesOf({ file: join(folder, 'nowhere.yml') })[0]).toMatch(/nowhere\.yml: cannot be read: ENOENT/)
    expect(mistakesOf({ file: file('a: b: c') })).toEqual([
      expect.stringMatching(/cannot be read: .*line 1, column 4$/),
    ])
    expect(mistakesOf({ file: file('- domain') })[0]).toMatch(/holds no settings/)
    const [line] = mistakesOf({ env: { STATS_PASSWORD_FILE: join(folder, 'nowhere') } })
    expect(line).toMatch(/^STATS_PASSWORD_FILE: .*nowhere cannot be read: ENOENT/)
  })

  test('a list or a map where one value belongs is refused in words', () => {
    expect(mistakesOf({ file: file('domain: [a, b]\nlog:\n  level: { a: 1 }\n') })).toEqual([
      expect.stringMatching(/domain = \["a","b"\] takes a single value/),
      expect.stringMatching(/log\.level = \{"a":1\} takes a single value/),
    ])
  })

  test('a secret is never repeated, nor a password within a URL', () => {
    const secret = mistakesOf({ file: file('stats:\n  password: [hunter2]\n') })
    expect(secret).toEqual([expect.stringMatching(/stats\.password = \(hidden\) takes a single value/)])
    const [line] = mistakesOf({ env: { TRAEFIK_URL: 'http://ci:hun/ter2@traefik:port' } })
    expect(line).toBe('env TRAEFIK_URL: traefik.url = "http://***@traefik:port" is not a URL; write http://host:port')
  })

  test('a value of any size and content stays on one short line', () => {
    const lines = mistakesOf({ env: { STACK_DOMAIN: `a\n\u001b[31m${'x'.repeat(10_000)}` } })
    expect(lines).toHaveLength(1)
    expect(lines[0]?.length).toBeLessThan(300)
    expect(lines[0]).not.toContain('\u001b')
  })

  test('what Kubernetes and Docker links add for a service called hostler is no mistake', () => {
    const env = {
      HOSTLER_SERVICE_HOST: '10.0.0.1',
      HOSTLER_SERVICE_PORT_HTTP: '8008',
      HOSTLER_PORT: 'tcp://10.0.0.1:8008',
      HOSTLER_PORT_8008_TCP_ADDR: '10.0.0.1',
    }
    expect(mistakesOf({ env })).toEqual([])
    expect(mistakesOf({ env: { HOSTLER_PORT: '8008' } })[0]).toMatch(/no setting is called "HOSTLER_PORT"/)
  })

  test('HOSTLER_CONFIG_FILE is said to be unknown rather than ignored', () => {
    const [line] = mistakesOf({ env: { HOSTLER_CONFIG_FILE: '/etc/x' } })
    expect(line).toMatch(/no setting is called "HOSTLER_CONFIG_FILE"\. Did you mean HOSTLER_CONFIG\?/)
  })
})
