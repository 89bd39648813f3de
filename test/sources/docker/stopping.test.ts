import { describe, expect, test } from '@jest/globals'
import type { Container } from '../../../src/sources/docker/container.js'
import { isStopping, signalNumber } from '../../../src/sources/docker/stopping.js'

describe('signalNumber reads what engines write', () => {
  test.each([
    ['15', 15],
    ['SIGTERM', 15],
    ['term', 15],
    ['QUIT', 3],
    ['SIGRTMIN+3', 37],
    ['RTMAX-1', 63],
    ['SIGRTMIN', 34],
  ])('%s is %d', (text, number) => {
    expect(signalNumber(text)).toBe(number)
  })

  test.each(['', '0', 'SIG', 'constructor', '999', '-9', 'TERM\n'])('%j is none', (text) => {
    expect(signalNumber(text)).toBeUndefined()
  })
})

describe('isStopping', () => {
  const container = (more: Partial<Container> = {}): Container => ({
    ...{ id: 'a', name: 'a', labels: {}, state: 'running', health: 'none', createdAt: 0 },
    ...{ networkMode: 'apps', addresses: [], ports: [], complete: true },
    ...more,
  })
  const at = (signal: number) => ({ signal, at: 1000 })

  test('holds from TERM or KILL until the default time to stop and some grace have passed', () => {
    expect(isStopping(container(), at(15), 1000)).toBe(true)
    expect(isStopping(container(), at(9), 15_999)).toBe(true)
    expect(isStopping(container(), at(15), 16_000)).toBe(false)
  })

  test('goes by the container’s own signal and time', () => {
    const stop = { signal: 3, timeoutMs: 60_000 }
    expect(isStopping(container({ stop }), at(3), 65_999)).toBe(true)
    expect(isStopping(container(), at(3), 1000)).toBe(false)
    expect(isStopping(container({ stop }), at(1), 1000)).toBe(false)
  })

  test('says nothing of a container that does not run', () => {
    expect(isStopping(container({ state: 'stopped' }), at(15), 1000)).toBe(false)
    expect(isStopping(container(), undefined, 1000)).toBe(false)
  })
})
