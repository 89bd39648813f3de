import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Step } from '../../../../src/proxies/haproxy/runtime/types.js'
import { type ExecutorRig, startExecutorRig } from '../../../support/executor-rig.js'
import { describeHaproxys } from '../../../support/haproxy-bins.js'
import { makePem, servedSerial } from '../../../support/pem.js'

const LIST = 'certificates.list'

describeHaproxys(['openssl'], 'certificates', ({ bin }) => {
  let rig: ExecutorRig
  beforeAll(async () => {
    rig = await startExecutorRig(bin)
  })
  afterAll(() => rig?.stop())

  const set = (pem: string): Step => ({ kind: 'set-certificate', path: 'one.pem', pem })

  test('a replaced one is served on the next handshake, blank lines in its file or not', async () => {
    const next = await makePem('one.example')
    await rig.run(set(`\n${next.certificate}\n\n\r\n${next.key}\n\n`))
    expect(await servedSerial(rig.tlsPort, 'one.example')).toBe(next.serial)
    await rig.run(set(rig.one.both))
    expect(await servedSerial(rig.tlsPort, 'one.example')).toBe(rig.one.serial)
  })

  test('a pair that does not match is refused, the old one stays, and the next one is taken', async () => {
    const next = await makePem('one.example')
    for (const pem of [next.certificate + rig.one.key, 'garbage', next.certificate]) {
      await expect(rig.run(set(pem))).rejects.toMatchObject({
        code: 'HAPROXY_STEP_FAILED',
        message: expect.not.stringContaining('PRIVATE'),
        cause: expect.objectContaining({ code: 'HAPROXY_REFUSED' }),
      })
      expect(await servedSerial(rig.tlsPort, 'one.example')).toBe(rig.one.serial)
    }
    await rig.run(set(next.both))
    expect(await servedSerial(rig.tlsPort, 'one.example')).toBe(next.serial)
    await rig.run(set(rig.one.both))
  })

  test('one is added for its own names and for given ones, and removed', async () => {
    const two = await makePem('two.example')
    const added: Step = {
      kind: 'add-certificate',
      path: 'two.pem',
      pem: two.both,
      list: LIST,
      lines: [[], ['*.two.example', 'zwei.example']],
    }
    await rig.run(added)
    for (const name of ['two.example', 'a.two.example', 'zwei.example']) {
      expect(await servedSerial(rig.tlsPort, name)).toBe(two.serial)
    }
    expect(await servedSerial(rig.tlsPort, 'one.example')).toBe(rig.one.serial)

    const removed: Step = { kind: 'remove-certificate', path: 'two.pem', list: LIST }
    await rig.run(removed)
    expect(await servedSerial(rig.tlsPort, 'two.example')).toBe(rig.one.serial)
    await rig.run(added, removed)
  })

  test('one that cannot be added leaves nothing behind', async () => {
    const [two, three] = [await makePem('two.example'), await makePem('three.example')]
    const add = (pem: string, list: string): Step => ({
      kind: 'add-certificate',
      path: 'three.pem',
      pem,
      list,
      lines: [[]],
    })
    for (const step of [add(two.certificate + three.key, LIST), add(three.both, 'nowhere.list')]) {
      await expect(rig.run(step)).rejects.toMatchObject({ code: 'HAPROXY_STEP_FAILED' })
      expect(await rig.haproxy.ask('show ssl cert')).not.toContain('three.pem')
    }
    await rig.run(add(three.both, LIST))
    expect(await servedSerial(rig.tlsPort, 'three.example')).toBe(three.serial)
  })

  test('the one for unknown names cannot be removed, which is said', async () => {
    await expect(rig.run({ kind: 'remove-certificate', path: 'one.pem', list: LIST })).rejects.toMatchObject({
      message: expect.stringContaining('default certificate'),
    })
  })

  test('a transaction that somebody else left open is neither overwritten nor ended', async () => {
    const next = await makePem('one.example')
    const foreign = { command: 'set ssl cert one.pem', payload: next.both.trim() }
    await rig.haproxy.socket.ask(foreign, new AbortController().signal)
    const two = await makePem('two.example')
    const add: Step = { kind: 'add-certificate', path: 'two.pem', pem: two.both, list: LIST, lines: [[]] }
    await expect(rig.run(add)).rejects.toMatchObject({ cause: expect.objectContaining({ code: 'HAPROXY_REFUSED' }) })
    expect(await rig.haproxy.ask('show ssl cert')).not.toContain('two.pem')
    expect(await rig.haproxy.ask('commit ssl cert one.pem')).toContain('Success!')
    expect(await servedSerial(rig.tlsPort, 'one.example')).toBe(next.serial)
  })
})
