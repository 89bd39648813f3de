import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { formatConfig } from '../../src/cli/config.js'
import { catalogue } from '../../src/config/catalogue.js'
import { loadConfig } from '../../src/config/load.js'
import { tempDir } from '../support/temp.js'

const settingsFile = join(tempDir(), 'hostler.yml')
writeFileSync(settingsFile, 'pollInterval: 90s\ndocker:\n  hosts: [unix:///run/a.sock, "tcp://ci:pw@b:2376"]\n')

const env = {
  STACK_DOMAIN: 'ci.example.com',
  STATS_PASSWORD: 'hunter2',
  TRAEFIK_URL: 'http://admin:pw@traefik:8080/',
  HOSTLER_PRIVATE_LISTEN: '[::1]:9000',
}
const loaded = loadConfig({ env, file: settingsFile, flags: new Map([['haproxy.stopTimeout', '1500ms']]) })
const lines = formatConfig(loaded).split('\n')
const line = (key: string): string | undefined =>
  lines.find((each) => each.startsWith(`${key} `))?.replace(/ {2,}/g, ' | ')

describe('hostler config', () => {
  test('prints every setting once, in the order of the schema, aligned', () => {
    expect(lines.slice(0, -1).map((each) => each.split(' ')[0])).toEqual(catalogue.map(({ key }) => key))
    const starts = lines.slice(0, -1).map((each) => /^\S+ +/.exec(each)?.[0].length)
    expect(new Set(starts).size).toBe(1)
  })

  test.each([
    ['domain', 'domain | ci.example.com | env STACK_DOMAIN'],
    ['pollInterval', `pollInterval | 90s | ${settingsFile}`],
    ['haproxy.stopTimeout', 'haproxy.stopTimeout | 1500ms | flag'],
    ['http.port', 'http.port | 80 | default'],
    ['https.enabled', 'https.enabled | false | default'],
    ['private.listen', 'private.listen | [::1]:9000 | env HOSTLER_PRIVATE_LISTEN'],
    ['templates', 'templates | – | default'],
  ])('%s as a user would write it, with its origin', (key, expected) => expect(line(key)).toBe(expected))

  test('masks secrets, and passwords within URLs', () => {
    expect(line('stats.password')).toBe('stats.password | ******** | env STATS_PASSWORD')
    expect(line('traefik.url')).toBe('traefik.url | http://***@traefik:8080 | env TRAEFIK_URL')
    expect(line('docker.hosts')).toBe(`docker.hosts | unix:///run/a.sock,tcp://***@b:2376 | ${settingsFile}`)
    expect(lines.join('\n')).not.toMatch(/hunter2|pw@/)
  })

  test('leaves origins out when they are not asked for', () => {
    const text = formatConfig(loaded, { showOrigins: false })
    expect(text).toMatch(/^domain +ci\.example\.com$/m)
    expect(text).not.toContain('STACK_DOMAIN')
  })

  test('what it prints reads back as the same settings', () => {
    const written = formatConfig(loadConfig({ env: { STACK_DOMAIN: 'a.b' } }), { showOrigins: false })
    const pairs = written
      .trimEnd()
      .split('\n')
      .map((each) => each.split(/ {2,}/) as [string, string])
    const flags = new Map(pairs.filter(([, value]) => value !== '–' && !value.startsWith('***')))
    expect(loadConfig({ env: {}, flags }).settings).toEqual(loadConfig({ env: { STACK_DOMAIN: 'a.b' } }).settings)
  })
})
