import { beforeAll, describe, expect, test } from '@jest/globals'
import { createChangePlanner } from '../../../../src/proxies/haproxy/runtime/planner.js'
import { describeStep } from '../../../../src/proxies/haproxy/runtime/planner-steps.js'
import { NOTHING_SINCE_LOAD } from '../../../../src/proxies/haproxy/runtime/spares.js'
import { makePem, type Pem } from '../../../support/pem.js'

const LIST = '/h/certificates.list'
const ROLES = {
  configs: ['/h/haproxy.cfg'],
  maps: [],
  lists: [LIST],
  certificates: ['/c/default.pem', '/c/a.pem', '/c/b.pem', '/c/c.pem', '/c/static.pem', '/c/idle.pem'],
}
const CONFIG = `frontend hostler
  bind :443 ssl crt-list ${LIST}
  bind :444 ssl crt /c/static.pem
`
const RUNNING = {
  version: { major: 2, minor: 6 },
  pid: 1,
  backends: new Set<string>(),
  servers: new Map(),
  maps: new Map(),
}

type Files = Readonly<Record<string, string>>

const image = (files: Files) => new Map([['/h/haproxy.cfg', CONFIG], ...Object.entries(files)])

/** A worker that loaded these files. */
function worker(loaded: Files) {
  const planChange = createChangePlanner()
  let spares = NOTHING_SINCE_LOAD
  return (wanted: Files) => {
    const change = planChange({ loaded: image(loaded), wanted: image(wanted), running: RUNNING, files: ROLES, spares })
    spares = change.spares
    if ('reload' in change.plan) return { words: `reload: ${change.plan.reload}`, steps: [] }
    const { steps } = change.plan
    return { words: steps.map((step) => describeStep(step)).join('\n'), steps }
  }
}

describe('certificates', () => {
  let pem: Record<'default' | 'a' | 'a2' | 'b', Pem>
  let loaded: Files

  beforeAll(async () => {
    const [first, a, a2, b] = await Promise.all([
      makePem('default.test'),
      makePem('a.test', '*.a.test'),
      makePem('a.test'),
      makePem('b.test'),
    ])
    pem = { default: first, a, a2, b }
    loaded = {
      [LIST]: '# ours\n/c/default.pem\n/c/b.pem\n/c/b.pem b.test\n',
      '/c/default.pem': first.both,
      '/c/b.pem': b.both,
      '/c/static.pem': first.both,
      '/c/idle.pem': first.both,
    }
  })

  test('with other content are replaced, once', () => {
    const plan = worker(loaded)
    const wanted = { ...loaded, '/c/b.pem': pem.a2.both }
    const { words, steps } = plan(wanted)
    expect(words).toBe('replace certificate /c/b.pem')
    expect(steps).toEqual([{ kind: 'set-certificate', path: '/c/b.pem', pem: pem.a2.both }])
    expect(plan(wanted).words).toBe('')
    expect(plan(loaded).words).toBe('replace certificate /c/b.pem')
    expect(plan(loaded).words).toBe('')
  })

  test('that a bind line names are replaced too, those that nobody serves take a reload', () => {
    expect(worker(loaded)({ ...loaded, '/c/static.pem': pem.b.both }).words).toBe('replace certificate /c/static.pem')
    expect(worker(loaded)({ ...loaded, '/c/idle.pem': pem.b.both }).words).toBe('reload: idle.pem has changed')
  })

  test('are added with every line of the list, and removed', () => {
    const plan = worker(loaded)
    const wanted = { ...loaded, [LIST]: `${loaded[LIST]}/c/a.pem\n/c/a.pem www.a.test\n`, '/c/a.pem': pem.a.both }
    const { words, steps } = plan(wanted)
    expect(words).toBe('add certificate /c/a.pem to certificates.list')
    expect(steps).toMatchObject([{ pem: pem.a.both, list: LIST, lines: [[], ['www.a.test']] }])
    expect(plan(wanted).words).toBe('')
    expect(plan(loaded).words).toBe('remove certificate /c/a.pem from certificates.list')
    expect(plan(loaded).words).toBe('')
  })

  test('whose key lies beside them are sent with it', () => {
    const wanted = {
      ...loaded,
      [LIST]: `${loaded[LIST]}/c/a.pem\n`,
      '/c/a.pem': pem.a.certificate,
      '/c/a.pem.key': pem.a.key,
    }
    const plan = worker(loaded)
    expect(plan(wanted).steps).toMatchObject([{ kind: 'add-certificate', pem: pem.a.both }])
    const renewed = { ...wanted, '/c/a.pem': pem.a2.certificate, '/c/a.pem.key': pem.a2.key }
    expect(plan(renewed).steps).toEqual([{ kind: 'set-certificate', path: '/c/a.pem', pem: pem.a2.both }])
    expect(plan(renewed).steps).toEqual([])
  })

  test('may be added before others that have none of their names', () => {
    const list = '/c/default.pem\n/c/a.pem\n/c/b.pem\n/c/b.pem b.test\n'
    expect(worker(loaded)({ ...loaded, [LIST]: list, '/c/a.pem': pem.a.both }).words).toBe(
      'add certificate /c/a.pem to certificates.list',
    )
  })

  const reloads: [title: string, list: string, reason: string][] = [
    [
      'another default',
      '/c/b.pem\n/c/b.pem b.test\n/c/default.pem\n',
      'the default certificate of certificates.list has changed',
    ],
    ['other names', '/c/default.pem\n/c/b.pem\n/c/b.pem c.test\n', 'certificates.list serves /c/b.pem for other names'],
    [
      'options in brackets',
      '/c/default.pem\n/c/b.pem [alpn h2] b.test\n',
      'certificates.list has changed and has options that only a load can give',
    ],
    [
      'one without content',
      '/c/default.pem\n/c/b.pem\n/c/b.pem b.test\n/c/c.pem\n',
      'c.pem is new and its content is not known',
    ],
    [
      'one before another that has its names',
      '/c/default.pem\n/c/a.pem b.test\n/c/b.pem\n/c/b.pem b.test\n',
      '/c/a.pem is new in certificates.list and comes before /c/b.pem, which has the same names',
    ],
    [
      'one for everybody',
      '/c/default.pem\n/c/b.pem\n/c/b.pem b.test\n/c/a.pem *\n',
      '/c/a.pem is new in certificates.list with a filter that only a load gives its place',
    ],
    [
      'one that a bind line has already',
      '/c/default.pem\n/c/b.pem\n/c/b.pem b.test\n/c/static.pem\n',
      'static.pem is named in haproxy.cfg too',
    ],
  ]
  for (const [title, list, reason] of reloads) {
    test(`${title} in the list takes a reload`, () => {
      expect(worker(loaded)({ ...loaded, [LIST]: list, '/c/a.pem': pem.a.both }).words).toBe(`reload: ${reason}`)
    })
  }

  test('in another order take a reload when they share a name, and nothing else', () => {
    const [before, after] = ['/c/default.pem\n/c/a.pem\n/c/b.pem\n', '/c/default.pem\n/c/b.pem\n/c/a.pem\n']
    const apart = { ...loaded, [LIST]: before, '/c/a.pem': pem.a.both }
    expect(worker(apart)({ ...apart, [LIST]: after }).words).toBe('')
    const reason = 'reload: the certificates of certificates.list stand in another order'
    const rivals = { ...apart, '/c/b.pem': pem.a2.both }
    expect(worker(rivals)({ ...rivals, [LIST]: after }).words).toBe(reason)
    const everything = { ...apart, [LIST]: '/c/default.pem\n/c/a.pem *\n/c/b.pem\n' }
    expect(worker(everything)({ ...everything, [LIST]: '/c/default.pem\n/c/b.pem\n/c/a.pem *\n' }).words).toBe(reason)
  })

  test('that the runtime API cannot be told of take a reload, and the reason says why', () => {
    const long = `${'# a long chain\n'.repeat(1000)}${pem.a.both}`
    expect(worker(loaded)({ ...loaded, '/c/b.pem': long }).words).toMatch(
      /^reload: b\.pem has changed, and it takes \d{5} bytes, more than the 15000 of HAProxy's runtime API$/,
    )
    const odd = '/c/odd:1.pem'
    const files = { ...ROLES, certificates: [...ROLES.certificates, odd] }
    const wanted = { ...loaded, [LIST]: `${loaded[LIST]}${odd}\n`, [odd]: pem.a.both }
    const plan = createChangePlanner()
    const inputs = { loaded: image(loaded), running: RUNNING, files, spares: NOTHING_SINCE_LOAD }
    expect(plan({ ...inputs, wanted: image(wanted) }).plan).toEqual({
      reload: "odd:1.pem is new, and HAProxy's runtime API would take its path for something else",
    })
  })
})
