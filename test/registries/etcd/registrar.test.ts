import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { ITxnRequest } from 'etcd3'
import { HostlerError } from '../../../src/lib/errors.js'
import type { EtcdClient } from '../../../src/lib/etcd/client.js'
import { INHERITED } from '../../../src/registries/etcd/registrar.js'
import { startEtcd, type TestEtcd } from '../../support/etcd.js'
import { type RegistrarOptions, type RegistrarRig, startRegistrar } from '../../support/registrar-rig.js'
import { describeWith } from '../../support/servers.js'
import { tempDir } from '../../support/temp.js'
import { until } from '../../support/wait.js'

describeWith(['etcd'], 'the registrar', () => {
  let etcd: TestEtcd
  const open: RegistrarRig[] = []
  let prefix = ''
  let count = 0
  beforeAll(async () => {
    etcd = await startEtcd()
  })
  beforeEach(() => {
    prefix = `/t${++count}`
  })
  afterEach(async () => {
    for (const rig of open.splice(0)) await rig.stop()
    await etcd.client.delete().all().exec()
  })
  afterAll(() => etcd.stop())

  const start = (options: Partial<RegistrarOptions> = {}) => {
    const rig = startRegistrar({ endpoint: etcd.endpoint, prefix, ...options })
    open.push(rig)
    return rig
  }
  const nodes = () => etcd.all('/mine/')
  const revision = async () => Number((await etcd.client.get('/').exec()).header.revision)

  describe.each([['alone'], ['with an eye on the others']])('%s', (how) => {
    const begin = (options: Partial<RegistrarOptions> = {}) => {
      const rig = start(options)
      if (how !== 'alone') rig.follow()
      return rig
    }

    test('takes back what was written although it was not told so, when nobody wants it any more', async () => {
      const faults = new Faults()
      const rig = begin({ spoilt: faults.over })
      await rig.announce({ web: { '/mine/web': '1' } })
      faults.loseAnswerTo('/mine/c')
      await expect(rig.announce({ web: { '/mine/web': '1' }, c: { '/mine/c': '1' } })).rejects.toThrow('lost')
      expect(await nodes()).toEqual({ '/mine/c': '1', '/mine/web': '1' })
      await rig.announce({ web: { '/mine/web': '1' } })
      expect(await nodes()).toEqual({ '/mine/web': '1' })
    })

    test('takes back what was written beside something that failed', async () => {
      const faults = new Faults()
      const rig = begin({ spoilt: faults.over })
      faults.refuseToSend('/mine/many/0')
      await expect(rig.announce({ many: many(70), c: { '/mine/c': '1' } })).rejects.toThrow('lost')
      expect(await nodes()).toEqual({ '/mine/c': '1' })
      await expect(rig.announce({ many: many(70) })).rejects.toThrow('lost')
      expect(await nodes()).toEqual({})
      faults.mend()
      expect(await rig.announce({})).toMatchObject({ claims: 0 })
      expect(await etcd.all(`${prefix}/registrar/claims/`)).toEqual({})
    })

    test('writes again what was taken back beside something that failed', async () => {
      const faults = new Faults()
      const rig = begin({ spoilt: faults.over })
      await rig.announce({ web: { '/mine/web': '1' } })
      faults.refuseToSend('/mine/many/0')
      await expect(rig.announce({ many: many(70) })).rejects.toThrow('lost')
      expect(await nodes()).toEqual({})
      faults.mend()
      await rig.announce({ web: { '/mine/web': '1' } })
      expect(await nodes()).toEqual({ '/mine/web': '1' })
    })

    test('claims again what it gave up without being told so, also where others claim the same', async () => {
      const faults = new Faults()
      const rig = begin({ spoilt: faults.over })
      const other = start({ name: 'host-b' })
      await rig.announce({ web: { '/mine/web': '1' } })
      await other.announce({ web: { '/mine/web': '1' } })
      await rig.announce({ web: { '/mine/web': '1' } })
      faults.loseAnswerTo('/mine/web')
      await expect(rig.announce({})).rejects.toThrow('lost')
      await rig.announce({ web: { '/mine/web': '1' } })
      await other.withdraw()
      expect(await nodes()).toEqual({ '/mine/web': '1' })
    })
  })

  test('asks to be told again what it wants when somebody takes its claim away, or makes one in its name', async () => {
    const rig = start()
    rig.follow()
    await rig.announce({ web: { '/mine/web': '1' } })
    const claims = await etcd.client.getAll().prefix(`${prefix}/registrar/claims/`).keys()
    const [claim = ''] = claims
    const before = rig.disturbed()
    await etcd.client.delete().key(claim)
    await until('it has noticed', () => rig.disturbed() > before)
    await rig.announce({ web: { '/mine/web': '1' } })
    expect(await etcd.client.getAll().prefix(`${prefix}/registrar/claims/`).keys()).toEqual(claims)
    const again = rig.disturbed()
    await etcd.client.put(claim.replace('web', 'db')).value('2')
    await until('it has noticed', () => rig.disturbed() > again)
    await rig.announce({ web: { '/mine/web': '1' } })
    expect(await etcd.client.getAll().prefix(`${prefix}/registrar/claims/`).keys()).toEqual(claims)
  })

  test('is not disturbed by what it writes itself', async () => {
    const rig = start()
    rig.follow()
    await until('it has begun', () => rig.disturbed() > 0)
    const before = rig.disturbed()
    for (const value of ['1', '2', '3', '4']) await rig.announce({ web: { '/mine/web': value }, many: many(50) })
    const other = start({ name: 'host-b' })
    await other.announce({ web: { '/mine/web': '0' } })
    await until('it has heard of the conflict', () => rig.disturbed() > before)
    expect(rig.disturbed()).toBe(before + 1)
  })

  test('keeps together in one transaction what one container wants, up to 64 nodes', async () => {
    const rig = start()
    await rig.announce({})
    const before = await revision()
    await rig.announce({ web: many(64) })
    expect(await revision()).toBe(before + 1)
    await rig.announce({ web: many(64, 'other') })
    expect(await revision()).toBe(before + 2)
    await start({ name: 'host-b' }).announce({ web: many(64, 'less') })
    await rig.announce({ web: many(64, 'more') })
    expect(await nodes()).toEqual(many(64, 'less'))
    await rig.announce({})
    expect(await nodes()).toEqual(many(64, 'less'))
  })

  test('writes a container with more than etcd takes at once, and its changes', async () => {
    const rig = start()
    const heavy = (letter: string) => many(40, letter.repeat(25_000))
    expect(await rig.announce({ web: heavy('a') })).toMatchObject({ claims: 40, troubles: [] })
    expect(await rig.announce({ web: heavy('ä') })).toMatchObject({ claims: 40, troubles: [] })
    expect(await nodes()).toEqual(heavy('ä'))
  })

  test('tells what etcd refuses, and writes the rest of that container and all others', async () => {
    const rig = start()
    const web = { ...many(20), '/mine/big': 'x'.repeat(2 << 20), '/mine/half-\ud83c': '1', '/mine/web': '1' }
    const first = await rig.announce({ web, db: { '/mine/db': '1' } })
    expect([...first.troubles].sort()).toEqual([
      expect.stringMatching(/^\/mine\/big: .*it is more than etcd takes at once \(--max-request-bytes\)/),
      expect.stringMatching(/^\/mine\/half- ?: its path is no text/),
    ])
    expect(first).toMatchObject({ claims: 22, written: 22 })
    expect(await nodes()).toEqual({ ...many(20), '/mine/db': '1', '/mine/web': '1' })
    const before = await revision()
    expect(await rig.announce({ web, db: { '/mine/db': '1' } })).toMatchObject({ troubles: first.troubles, written: 0 })
    expect(await revision()).toBe(before)
    expect(await rig.announce({ web: { ...web, '/mine/big': 'x', '/mine/half-\ud83c': '2' } })).toMatchObject({
      troubles: [expect.stringContaining('/mine/half-')],
      claims: 22,
    })
    expect(await rig.announce({ web: { '/mine/big': 'x' } })).toMatchObject({ troubles: [], claims: 1 })
    expect(await nodes()).toEqual({ '/mine/big': 'x' })
  })

  test('after a restart only what is not known to be wanted any more counts as inherited', async () => {
    const stateDir = tempDir()
    const all = { web: { '/mine/web': '1' }, db: { '/mine/db': '1' } }
    const first = start({ stateDir })
    await first.announce(all)
    await first.stop()
    const second = start({ stateDir })
    const kept = ({ group }: { readonly group: string }) => group === INHERITED
    expect(await second.announce({ web: all.web }, kept)).toMatchObject({ claims: 2, written: 0, removed: 0 })
    expect(await second.announce({}, kept)).toMatchObject({ claims: 1, removed: 1 })
    expect(await nodes()).toEqual({ '/mine/db': '1' })
    expect(await second.announce({})).toMatchObject({ claims: 0, removed: 1 })
  })

  test('counts on nothing that it wrote into a store that is no more', async () => {
    const all = { web: { '/mine/web': '1' }, db: { '/mine/db': '1' } }
    const rigs = [start(), start({ name: 'host-b' })]
    for (const rig of rigs) rig.follow()
    for (const rig of rigs) await rig.announce({ web: all.web })
    for (const rig of rigs) await rig.announce(all)
    await etcd.kill()
    await etcd.resume('empty')
    const isDone = (rig: RegistrarRig) =>
      rig.announce(all).then(
        ({ written }) => written === 2,
        () => false,
      )
    for (const rig of rigs) await until('it has announced everything again', () => isDone(rig))
    expect(await etcd.client.getAll().prefix(`${prefix}/registrar/claims/`).keys()).toHaveLength(4)
    await rigs[0]?.withdraw()
    expect(await nodes()).toEqual({ '/mine/db': '1', '/mine/web': '1' })
  })

  test('announces although it may not see what hangs on the lease that all share', async () => {
    const keysOf = () => Promise.reject(new HostlerError('ETCD_REFUSED', 'permission denied'))
    const rig = start({ spoilt: () => ({ keysOf }) })
    expect(await rig.announce({ web: { '/mine/web': '1' } })).toMatchObject({ claims: 1, troubles: [] })
  })
})

const many = (count: number, value = '1'): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`/mine/many/${index}`, value]).sort())

/** What may happen on the way to etcd and cannot be made to happen there. */
class Faults {
  #fault: { readonly node: string; readonly isSent: boolean } | undefined

  /** Once: it is done, but the connection breaks before that is known. */
  loseAnswerTo(node: string): void {
    this.#fault = { node, isSent: true }
  }

  refuseToSend(node: string): void {
    this.#fault = { node, isSent: false }
  }

  mend(): void {
    this.#fault = undefined
  }

  readonly over = ({ txn }: EtcdClient): Partial<EtcdClient> => ({
    txn: async (request, signal) => {
      const fault = this.#fault
      if (!fault || !touches(request, fault.node)) return txn(request, signal)
      if (fault.isSent) {
        this.mend()
        await txn(request, signal)
      }
      throw new HostlerError('ETCD', 'the answer was lost')
    },
  })
}

/** Or the claim to it. */
function touches({ success = [] }: ITxnRequest, node: string): boolean {
  const keys = success.map((op) => String((op.request_put ?? op.request_delete_range)?.key))
  return keys.some((key) => key === node || key.includes(`/${encodeURIComponent(node)}/`))
}
