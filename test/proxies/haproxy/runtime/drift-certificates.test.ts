import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { type DriverRig, startDriverRig } from '../../../support/driver-rig.js'
import { describeHaproxys } from '../../../support/haproxy-bins.js'
import { makePem, type Pem, servedSerial } from '../../../support/pem.js'

const signal = new AbortController().signal

describeHaproxys(['openssl'], 'certificates', ({ bin }) => {
  let rig: DriverRig
  let pems: Record<'first' | 'two' | 'three' | 'other', Pem>
  beforeAll(async () => {
    const [first, two, three, other] = await Promise.all(
      ['first.test', 'two.test', 'three.test', 'two.test'].map((name) => makePem(name)),
    )
    pems = { first: first!, two: two!, three: three!, other: other! }
  })
  beforeEach(async () => {
    rig = await startDriverRig({ bin, certificates: { 'first.pem': pems.first.both, 'two.pem': pems.two.both } })
    rig.publish(new Map())
    await rig.apply()
  })
  afterEach(() => rig.stop())

  const path = (name: string) => join(rig.dir, name)
  const list = () => path('certificates.list')
  const ask = async (command: string | { command: string; payload: string }) =>
    (await rig.socket.ask(command, signal)).text
  const replace = async (name: string, { both }: Pem) => {
    await ask({ command: `set ssl cert ${path(name)}`, payload: both.trim() })
    expect(await ask(`commit ssl cert ${path(name)}`)).toContain('Success!')
  }
  const unlist = async (name: string, line: number) =>
    expect(await ask(`del ssl crt-list ${list()} ${path(name)}:${line}`)).toContain('deleted')
  const served = (name: string) => servedSerial(rig.tlsPort, name)
  const how = async () => (await rig.apply()).how

  test('at rest nothing is done', async () => {
    expect([await how(), await how()]).toEqual(['nothing', 'nothing'])
  })

  test('one that somebody replaced in HAProxy is put back, the default one too', async () => {
    await replace('first.pem', pems.other)
    await replace('two.pem', pems.other)
    expect(await served('two.test')).toBe(pems.other.serial)
    expect([await how(), await how()]).toEqual(['runtime', 'nothing'])
    expect(await served('two.test')).toBe(pems.two.serial)
    expect(await served('first.test')).toBe(pems.first.serial)
  })

  test('one that somebody removed is served again, whether it was left in memory or not', async () => {
    for (const leave of [true, false]) {
      await unlist('two.pem', Number(/two\.pem:(\d+)/.exec(await ask(`show ssl crt-list -n ${list()}`))?.[1]))
      if (!leave) await ask(`del ssl cert ${path('two.pem')}`)
      expect(await served('two.test')).toBe(pems.first.serial)
      expect([await how(), await how()]).toEqual(['runtime', 'nothing'])
      expect(await served('two.test')).toBe(pems.two.serial)
    }
  })

  test('one that somebody added is taken away, and a name that somebody gave to ours', async () => {
    await ask(`new ssl cert ${path('three.mine')}`)
    await replace('three.mine', pems.three)
    expect(await ask(`add ssl crt-list ${list()} ${path('three.mine')}`)).toContain('Success!')
    expect(await served('three.test')).toBe(pems.three.serial)
    expect([await how(), await how()]).toEqual(['runtime', 'nothing'])
    expect(await served('three.test')).toBe(pems.first.serial)
    expect(await ask('show ssl cert')).not.toContain('three.mine')

    await ask({ command: `add ssl crt-list ${list()}`, payload: `${path('two.pem')} stray.test` })
    expect(await served('stray.test')).toBe(pems.two.serial)
    expect(await rig.apply()).toMatchObject({
      how: 'reload',
      why: expect.stringContaining('two.pem for other names'),
    })
    expect(await served('stray.test')).toBe(pems.first.serial)
  })

  test('those of the files are added, replaced and removed, and are drift afterwards when somebody touches them', async () => {
    rig.write('three.pem', pems.three.both)
    rig.write('certificates.list', `${path('first.pem')}\n${path('three.pem')}\n${path('two.pem')}\n`)
    rig.write('two.pem', pems.other.both)
    expect([await how(), await how()]).toEqual(['runtime', 'nothing'])
    expect([await served('two.test'), await served('three.test')]).toEqual([pems.other.serial, pems.three.serial])
    await replace('three.pem', pems.two)
    expect([await how(), await how()]).toEqual(['runtime', 'nothing'])
    expect(await served('three.test')).toBe(pems.three.serial)
    rig.write('certificates.list', `${path('first.pem')}\n`)
    for (const name of ['two.pem', 'three.pem']) rmSync(path(name))
    expect([await how(), await how()]).toEqual(['runtime', 'nothing'])
    expect([await served('two.test'), await served('three.test')]).toEqual([pems.first.serial, pems.first.serial])
  })

  test('a pair that does not match is refused, the old one stays, and the right one is taken', async () => {
    rig.write('two.pem', pems.other.certificate + pems.two.key)
    await expect(rig.apply()).rejects.toMatchObject({
      code: 'LOAD_REFUSED',
      message: expect.stringContaining('two.pem'),
    })
    expect(await served('two.test')).toBe(pems.two.serial)
    await expect(rig.apply()).rejects.toMatchObject({ code: 'LOAD_REFUSED' })
    rig.write('two.pem', pems.other.both)
    expect([await how(), await how()]).toEqual(['runtime', 'nothing'])
    expect(await served('two.test')).toBe(pems.other.serial)
  })

  test('one that is too long for the runtime API comes with a reload that says so', async () => {
    rig.write('two.pem', `${'# a long chain\n'.repeat(1200)}${pems.other.both}`)
    expect(await rig.apply()).toMatchObject({
      how: 'reload',
      why: expect.stringMatching(/^two\.pem has changed, and it takes \d+ bytes, more than the 15000/),
    })
    expect(await served('two.test')).toBe(pems.other.serial)
  })

  test('a transaction that somebody left open is no drift, and a change meanwhile takes a reload', async () => {
    await ask({ command: `set ssl cert ${path('two.pem')}`, payload: pems.other.both.trim() })
    expect(await how()).toBe('nothing')
    rig.write('first.pem', pems.three.both)
    const { how: way, why } = await rig.apply()
    expect([way, why]).toEqual([
      'reload',
      expect.stringMatching(/neither committed nor aborted|The ongoing transaction is about/),
    ])
    expect([await served('two.test'), await served('first.test')]).toEqual([pems.two.serial, pems.three.serial])
  })
})

describe('many certificates', () => {
  test('are all looked at in turn', async () => {
    const two = await makePem('two.test')
    const names = Array.from({ length: 150 }, (_, i) => `c${i}.pem`)
    const rig = await startDriverRig({ certificates: Object.fromEntries(names.map((name) => [name, two.both])) })
    try {
      rig.publish(new Map())
      await rig.apply()
      const other = await makePem('other.test')
      for (const name of ['c3.pem', 'c77.pem', 'c149.pem']) {
        const path = join(rig.dir, name)
        await rig.socket.ask({ command: `set ssl cert ${path}`, payload: other.both.trim() }, signal)
        await rig.socket.ask(`commit ssl cert ${path}`, signal)
      }
      const hows = [await rig.apply(), await rig.apply(), await rig.apply()].map(({ how }) => how)
      expect(hows).toContain('runtime')
      expect([await rig.apply(), await rig.apply(), await rig.apply()].map(({ how }) => how)).toEqual([
        'nothing',
        'nothing',
        'nothing',
      ])
      for (const name of names) {
        const { text } = await rig.socket.ask(`show ssl cert ${join(rig.dir, name)}`, signal)
        expect(text).toContain(`Serial: ${two.serial}`)
      }
    } finally {
      await rig.stop()
    }
  })
})
