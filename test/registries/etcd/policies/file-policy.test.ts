import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import type { Instance } from '../../../../src/model/instance.js'
import { createFilePolicy } from '../../../../src/registries/etcd/policies/file-policy.js'
import type { Policy } from '../../../../src/registries/etcd/policies/policy.js'
import { instance } from '../../../support/instances.js'
import { tempDir } from '../../../support/temp.js'

/** Threads run compiled code. */
const PROGRAM = new URL('../../../../dist/registries/etcd/policies/thread-main.js', import.meta.url)

describe('a policy in a file of its own', () => {
  const open: Policy[] = []
  afterEach(async () => {
    for (const policy of open.splice(0)) await policy.close?.()
  })

  async function load(text: string, file = 'policy.js', more: Readonly<Record<string, string>> = {}): Promise<Policy> {
    const dir = tempDir()
    for (const [name, content] of Object.entries({ 'package.json': '{"type":"module"}', ...more, [file]: text }))
      writeFileSync(join(dir, name), content)
    const policy = await createFilePolicy({ name: 'mine', path: join(dir, file), limitMs: 300, program: PROGRAM })
    open.push(policy)
    return policy
  }
  const never = new AbortController().signal
  const web = (name = 'web') => instance(name, { port: '80' })
  const ask = (policy: Policy, instances: Instance[] = [web()], config = {}) =>
    policy.evaluate(instances, config, never)

  test.each([
    ['an object', "export const container = ({ Name }) => ({ ['/a' + Name]: 'x' })", [['/a/web', 'x']]],
    ['nothing', 'export const container = () => {}', []],
    ['null', 'export const container = () => null', []],
    ['a promise', "export const container = async () => ({ '/a': 'x' })", [['/a', 'x']]],
    [
      'a generator',
      "export function* container() { yield { '/a': 'x' }; yield null; yield { '/b': 'y' } }",
      [
        ['/a', 'x'],
        ['/b', 'y'],
      ],
    ],
    [
      'an async generator',
      "export async function* container() { yield { '/a': 'x', '/b': 'y' } }",
      [
        ['/a', 'x'],
        ['/b', 'y'],
      ],
    ],
    ['a default export', "export default { container: () => ({ '/a': 'x' }) }", [['/a', 'x']]],
    [
      'values of every kind',
      "export const container = () => ({ '/n': null, '/u': undefined, '/s': '', '/i': 1, '/b': false, '/l': [1], '/o': { a: 1 } })",
      [
        ['/s', ''],
        ['/i', '1'],
        ['/b', 'false'],
        ['/l', '[1]'],
        ['/o', '{"a":1}'],
      ],
    ],
    ['half a character', "export const container = () => ({ '/a': 'Shop 🎉'.slice(0, 6) })", [['/a', 'Shop \ufffd']]],
  ])('may give %s', async (_what, text, nodes) => {
    expect(await ask(await load(text))).toEqual([{ nodes }])
  })

  test('may be TypeScript, and import more of it', async () => {
    const policy = await load(
      "import { value } from './more.ts'\nenum Kind { A = 'a' }\nexport function* container(one: { Id: string }, config: { at: string }): Generator<object> { yield { [`/${Kind.A}/${one.Id}`]: value(config.at as string) } }",
      'policy.ts',
      { 'more.ts': 'export const value = (text: string): string => `${text}!`' },
    )
    expect(await ask(policy, [web()], { at: 'x' })).toEqual([{ nodes: [['/a/web', 'x!']] }])
  })

  test('sees a container as Docker inspects it, and cannot change it for others', async () => {
    const policy = await load(
      "export const container = (c, config) => { const seen = JSON.stringify([c.Config.Labels, c.State.Running, config]); c.Config.Labels = {}; config.x = 1; return { '/seen': seen } }",
    )
    const inspect = { Id: 'x', Config: { Labels: { a: 'b' } }, State: { Running: true } }
    const one = instance('one', {}, { inspect })
    const seen = JSON.stringify([{ a: 'b' }, true, {}])
    expect(await ask(policy, [one, { ...one, inspect: structuredClone(inspect) }])).toEqual([
      { nodes: [['/seen', seen]] },
      { nodes: [['/seen', seen]] },
    ])
    expect(inspect.Config.Labels).toEqual({ a: 'b' })
  })

  test('answers each of several configurations that are asked at once with its own nodes', async () => {
    const policy = await load(
      "export const container = async (c, { at }) => { await new Promise((done) => setTimeout(done, at === 'a' ? 50 : 0)); return { ['/' + at + c.Name]: 'x' } }",
    )
    for (const name of ['web', 'db']) {
      const outcomes = await Promise.all(['a', 'b', 'c'].map((at) => ask(policy, [web(name)], { at })))
      expect(outcomes).toEqual(['a', 'b', 'c'].map((at) => [{ nodes: [[`/${at}/${name}`, 'x']] }]))
    }
  })

  test('that gets stuck with one configuration is opened again only once, and answers the others', async () => {
    const policy = await load(
      "export const container = (c, { at }) => { if (at === 'bad') for (;;); return { '/a': String(performance.timeOrigin) } }",
    )
    const [bad, a, b] = await Promise.all(['bad', 'a', 'b'].map((at) => ask(policy, [web()], { at })))
    expect(bad).toEqual([{ error: expect.stringMatching(/longer/) }])
    // When its thread began.
    expect(a).toEqual([{ nodes: [['/a', expect.stringMatching(/^\d/)]] }])
    expect(b).toEqual(a)
  })

  test.each([
    ['throws', "throw new Error('no')", /^no$/],
    ['throws something odd', 'throw 7', /^7$/],
    ['gives a text', "return '/a'", /gave (?:a string|an object), not an object of paths and values|gave a string/],
    ['gives a number', 'return 7', /gave a number/],
    ['gives a list', "return [['/a', 'x']]", /not an object of paths and values/],
    ['gives a function as a value', "return { '/a': () => 1 }", /gave \/a a function/],
    ['gives a bigint', "return { '/a': 1n }", /gave \/a a bigint/],
    [
      'gives nodes without end',
      "const many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => ['/' + i, 'x'])); return (function* () { for (;;) yield many })()",
      /more than 10000 nodes/,
    ],
    ['loops', 'for (;;);', /longer than 0\.3 s/],
    ['never answers', 'return new Promise(() => {})', /longer than 0\.3 s/],
    ['ends its thread', 'process.exit(0)', /ended the thread/],
    ['fails later on', "setTimeout(() => { throw new Error('late') }); return new Promise(() => {})", /late|longer/],
    [
      'uses up its memory',
      'const all = []; for (;;) all.push(new Array(100000).fill(Math.random()))',
      /memory|longer/i,
    ],
  ])('that %s is told so for that container, and others have their nodes', async (_what, body, error) => {
    const policy = await load(
      `export const container = (c) => { if (c.Name === '/bad') { ${body} } return { ['/ok' + c.Name]: 'x' } }`,
    )
    const [first, bad, last] = await ask(policy, [web('a'), web('bad'), web('z')])
    expect([first, last]).toEqual([{ nodes: [['/ok/a', 'x']] }, { nodes: [['/ok/z', 'x']] }])
    expect(bad).toEqual({ error: expect.stringMatching(error) })
    expect(await ask(policy, [web('again')])).toEqual([{ nodes: [['/ok/again', 'x']] }])
  })

  test('that gets stuck with everything is given up for this time', async () => {
    const policy = await load('export const container = () => { for (;;); }')
    const outcomes = await ask(policy, ['a', 'b', 'c', 'd', 'e', 'f'].map(web))
    const stuck = { error: expect.stringContaining('longer') }
    expect(outcomes).toEqual([...Array(4).fill(stuck), { unasked: true }, { unasked: true }])
  })

  test.each([
    ['has a mistake', 'export const container = (', /Unexpected end of input/],
    ['exports no function', 'export const other = 1', /no function "container"/],
    ['imports what is not there', "import './nowhere.js'", /nowhere/],
    ['throws at once', "throw new Error('at once')", /at once/],
    [
      'has a prefix that is none',
      "export const prefix = 'a'; export const container = () => null",
      /"prefix" is no path/,
    ],
    [
      'has a config that is none',
      'export const config = 1; export const container = () => null',
      /"config" is no JSON Schema/,
    ],
    [
      'has an etcdPath that is none',
      "export const config = { etcdPath: '/a/' }; export const container = () => null",
      /"etcdPath" of its config is no path/,
    ],
  ])('that %s cannot be loaded, and says why', async (_what, text, reason) => {
    await expect(load(text)).rejects.toThrow(reason)
  })

  test('tells its prefix and its configuration', async () => {
    const policy = await load(
      "export const prefix = '/a/b'; export const config = { etcdPath: '/c', properties: { d: { type: 'string', default: 'e' } } }; export const container = () => null",
    )
    expect(policy.prefix({})).toBe('/a/b')
    expect(policy.config).toEqual({ etcdPath: '/c', properties: { d: { type: 'string', default: 'e' } } })
  })
})
