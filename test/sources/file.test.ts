import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { silentLogger } from '../../src/lib/logger.js'
import type { Instance } from '../../src/model/instance.js'
import { createFileSource } from '../../src/sources/file.js'
import { tempDir } from '../support/temp.js'
import { until } from '../support/wait.js'
import { describeSourceContract } from './contract.js'

const sourceOf = (path: string) => createFileSource({ path }, { log: silentLogger() })
const signal = new AbortController().signal

/** Writes the text into a file of its own and reads it once. */
function listOf(text: string): Promise<readonly Instance[]> {
  const path = join(tempDir(), 'stacks.yml')
  writeFileSync(path, text)
  return sourceOf(path).list(signal)
}

const entries = (names: readonly string[]) =>
  `instances:\n${names.map((name) => `  - { name: ${name}, stack: app, address: 127.0.0.1, labels: { hostler.port: 80 } }\n`).join('')}`

const harness = (write: (path: string, names: string[]) => void) => async () => {
  const path = join(tempDir(), 'stacks.yml')
  let current: string[] = []
  const put = async (names: string[]) => {
    current = names
    write(path, names)
  }
  return {
    source: sourceOf(path),
    put,
    breakOff: async () => writeFileSync(path, 'instances:\n  - { name: alpha'),
    mend: () => put(current),
    close: async () => undefined,
  }
}

const replaced = (path: string, text: string) => {
  writeFileSync(`${path}~`, text)
  renameSync(`${path}~`, path)
}

describeSourceContract(
  'file, YAML written in place',
  harness((path, names) => writeFileSync(path, entries(names))),
)
describeSourceContract(
  'file, JSON replaced by rename',
  harness((path, names) =>
    replaced(path, JSON.stringify({ instances: names.map((name) => ({ name, address: '127.0.0.1' })) })),
  ),
)

describe('an entry of the file', () => {
  test('becomes an instance with defaults where it says nothing', async () => {
    expect(await listOf('instances:\n  - { name: web-1, address: 127.0.0.1 }\n')).toEqual([
      {
        id: 'web-1',
        source: 'file',
        name: 'web-1',
        labels: {},
        state: 'running',
        health: 'none',
        createdAt: 0,
        networks: [{ name: 'file', address: '127.0.0.1', shared: true }],
        ports: [],
      },
    ])
  })

  test('may say everything, and labels that are numbers or booleans become text', async () => {
    const [instance] = await listOf(`
# what runs on the old machine
instances:
  - name: web-1
    stack: app-r1
    service: web
    address: fe80::1%eth0
    network: lan
    state: stopped
    health: unhealthy
    createdAt: 2026-01-31T12:00:00Z
    labels:
      hostler.port: 9001
      hostler.enable: true
      note: |
        - not an entry
        # not a comment
`)
    expect(instance).toEqual({
      id: 'web-1',
      source: 'file',
      name: 'web-1',
      stack: 'app-r1',
      service: 'web',
      labels: { 'hostler.port': '9001', 'hostler.enable': 'true', note: '- not an entry\n# not a comment\n' },
      state: 'stopped',
      health: 'unhealthy',
      createdAt: Date.UTC(2026, 0, 31, 12),
      networks: [{ name: 'lan', address: 'fe80::1%eth0', shared: true }],
      ports: [],
    })
  })

  test('may be written in any form of YAML, or as JSON', async () => {
    const expected = await listOf(entries(['a', 'b']))
    const forms = [
      JSON.stringify({ instances: [1, 2].map((_, i) => ({ ...plain, name: 'ab'[i] })) }),
      'instances: [ { name: a, <<: &x { stack: app, address: 127.0.0.1, labels: { hostler.port: 80 } } } ]'.replace(
        '<<: &x { stack: app, address: 127.0.0.1, labels: { hostler.port: 80 } } } ]',
        'stack: app, address: 127.0.0.1, labels: &l { hostler.port: 80 } }, { name: b, stack: app, address: 127.0.0.1, labels: *l } ]\n',
      ),
      '---\ninstances:\n- name: a\n  stack: app\n  address: 127.0.0.1\n  labels: { hostler.port: 80 }\n\n# next\n- name: b\n  stack: app\n  address: 127.0.0.1\n  labels:\n    hostler.port: 80\n',
      entries(['a', 'b']).replaceAll('\n', '\r\n'),
      `{ instances: [${entries(['a', 'b']).split('\n').slice(1, 3).join(',').replaceAll('  - ', '')}] }`,
    ]
    for (const form of forms) expect(await listOf(form)).toEqual(expected)
  })

  const plain = { stack: 'app', address: '127.0.0.1', labels: { 'hostler.port': 80 } }

  test('arrives with its label values untouched, whatever they hold', async () => {
    const labels = { 'hostler.host': 'a\nb "c" {{d}} %e', long: 'x'.repeat(10_000) }
    const [instance] = await listOf(JSON.stringify({ instances: [{ name: 'a', address: '::1', labels }] }))
    expect(instance?.labels).toEqual(labels)
  })
})

describe('a file that cannot be used', () => {
  test.each([
    [
      'instances:\n  - { adress: ::1, name: a, address: "::1" }\n',
      'instances[0] (a): unknown field adress. Did you mean address?',
    ],
    ['instances:\n  - { address: "::1" }\n', 'instances[0]: name must be there, as text'],
    ['instances:\n  - { name: a }\n', 'instances[0] (a): address must be there: an IP address or a host name'],
    ['instances:\n  - { name: a, address: "127.0.0.1:80/x" }\n', 'address must be an IP address or a host name'],
    ['instances:\n  - { name: a, address: "::1", state: up }\n', 'instances[0] (a): state must be running, paused'],
    ['instances:\n  - { name: a, address: "::1", health: ok }\n', 'instances[0] (a): health must be none, starting'],
    ['instances:\n  - { name: a, address: "::1", labels: { x: [] } }\n', 'labels → x must be text, a number'],
    ['instances:\n  - { name: a, address: "::1", labels: [x=y] }\n', 'labels must be a map from label to value'],
    ['instances:\n  - { name: a, address: "::1", createdAt: then }\n', 'createdAt must be a date such as'],
    ['instances:\n  - web-1\n', 'instances[0]: must be a map with name, address and labels'],
    [entries(['a', 'b', 'a']), 'instances[2]: the name a is taken by instances[0]'],
    ['', 'does not hold an `instances:` list'],
    ['instances:\n', 'write `instances: []` for none'],
    ['instance: []\n', 'unknown field "instance". Did you mean instances?'],
    ['instances:\n  - name: a\n   address: "::1"\n', 'line 3 is not YAML'],
    ['instances:\n  - { name: a, name: b, address: "::1" }\n', 'is not YAML: Map keys must be unique'],
    ['{"instances": [{"name": "a", "addr', 'is not YAML'],
  ])('%j says where and what: %s', async (text, message) => {
    await expect(listOf(text)).rejects.toThrow(message)
  })

  test('names every mistake up to a limit', async () => {
    const text = `instances:\n${'  - { nam: a }\n'.repeat(100)}`
    const error: Error = await listOf(text).then(
      () => new Error('accepted'),
      (reason) => reason,
    )
    expect(error.message.split('\n')).toHaveLength(10)
    expect(error.message).toContain('and 292 more')
  })

  test('is missing, a folder, or larger than 64 MiB', async () => {
    const folder = tempDir()
    await expect(sourceOf(join(folder, 'none.yml')).list(signal)).rejects.toThrow('cannot open')
    await expect(sourceOf(folder).list(signal)).rejects.toThrow('not a regular file')
    const large = join(folder, 'large.yml')
    writeFileSync(large, Buffer.alloc(64 * 1024 * 1024 + 1, '\n'))
    await expect(sourceOf(large).list(signal)).rejects.toThrow('larger than 64 MiB')
  })

  test('may list nothing, when it says so', async () => {
    expect(await listOf('instances: []\n')).toEqual([])
  })
})

describe('reading the file again', () => {
  test('after a comment, a new order and one edit keeps every object but the edited one', async () => {
    const path = join(tempDir(), 'stacks.yml')
    const source = sourceOf(path)
    writeFileSync(path, entries(['a', 'b', 'c']))
    const [a, b, c] = await source.list(signal)
    writeFileSync(path, `# moved\n${entries(['c', 'b', 'a']).replace('80 } }\n', '81 } }\n')}`)
    const again = await source.list(signal)
    expect(again[0]).toBe(a)
    expect(again[1]).toBe(b)
    expect(again[2]).not.toBe(c)
    expect(again[2]?.labels).toEqual({ 'hostler.port': '81' })
    writeFileSync(
      path,
      JSON.stringify({
        instances: again.map(({ name, stack, labels }) => ({ name, stack, labels, address: '127.0.0.1' })),
      }),
    )
    const asJson = await source.list(signal)
    for (const [index, instance] of asJson.entries()) expect(instance).toBe(again[index])
  })

  test('after a broken edit gives the same objects as before it', async () => {
    const path = join(tempDir(), 'stacks.yml')
    const source = sourceOf(path)
    writeFileSync(path, entries(['a', 'b']))
    const before = await source.list(signal)
    writeFileSync(path, `${entries(['a', 'b'])}  - { name: c }\n`)
    await expect(source.list(signal)).rejects.toThrow('instances[2] (c)')
    writeFileSync(path, entries(['a', 'b']))
    expect(await source.list(signal)).toBe(before)
  })

  test('works for 10,000 entries, and an edit of one leaves the others as they are', async () => {
    const path = join(tempDir(), 'stacks.yml')
    const source = sourceOf(path)
    const names = Array.from({ length: 10_000 }, (_, index) => `web-${String(index).padStart(5, '0')}`)
    writeFileSync(path, entries(names))
    const before = await source.list(signal)
    expect(before).toHaveLength(10_000)
    writeFileSync(path, entries(names).replace('name: web-05000, stack: app', 'name: web-05000, stack: other'))
    const after = await source.list(signal)
    const changed = after.filter((instance, index) => instance !== before[index])
    expect(changed.map(({ name, stack }) => [name, stack])).toEqual([['web-05000', 'other']])
  })
})

describe('watching the file', () => {
  async function watching(path: string, body: (seen: { names: string[]; failures: string[] }) => Promise<void>) {
    const seen = { names: [] as string[], failures: [] as string[] }
    const controller = new AbortController()
    const ended = sourceOf(path).watch(
      {
        report: (instances) => void seen.names.push(instances.map(({ name }) => name).join(' ')),
        failed: (error) => void seen.failures.push(String(error)),
      },
      controller.signal,
    )
    await body(seen).finally(() => controller.abort())
    await ended
  }

  test('waits for a file, and for a folder, that is not there yet', async () => {
    const folder = join(tempDir(), 'later')
    const path = join(folder, 'stacks.yml')
    await watching(path, async ({ names, failures }) => {
      await until('it is missed', () => failures.length === 1)
      mkdirSync(folder)
      writeFileSync(path, entries(['a']))
      await until('it is read', () => names.at(-1) === 'a')
      writeFileSync(path, entries(['a', 'b']))
      await until('the next edit is seen', () => names.at(-1) === 'a b')
      expect(failures).toHaveLength(1)
    })
  })

  test('follows a file that is deleted and comes back', async () => {
    const path = join(tempDir(), 'stacks.yml')
    writeFileSync(path, entries(['a']))
    await watching(path, async ({ names, failures }) => {
      await until('it is read', () => names.length === 1)
      rmSync(path)
      await until('it is missed', () => failures.length === 1)
      writeFileSync(path, entries(['a', 'b']))
      await until('it is back', () => names.at(-1) === 'a b')
      expect(names).toEqual(['a', 'a b'])
    })
  })

  test('reports nothing when the file is written anew with the same instances', async () => {
    const path = join(tempDir(), 'stacks.yml')
    writeFileSync(path, entries(['a']))
    await watching(path, async ({ names }) => {
      await until('it is read', () => names.length === 1)
      replaced(path, `# the same\n${entries(['a'])}`)
      replaced(path, entries(['a', 'b']))
      await until('the change is seen', () => names.length > 1)
      expect(names).toEqual(['a', 'a b'])
    })
  })
})
