// WebSockets on which nobody says a word for ten times the idle time, through a real HAProxy: neither cut nor is their
// stack put to sleep, and once they are closed it is.
import { setTimeout as delay } from 'node:timers/promises'
import { openInn } from '../inn.mjs'
import { openWebSocket } from '../websockets.mjs'

export const needs = ['haproxy', 'dockerd', 'busybox']
const IDLE_MS = 2000
const SOCKETS = 10
const STACK = 'silent'

export async function measure({ cleanup }) {
  const inn = await openInn(cleanup, { name: 'silent', env: { HOSTLER_SLEEP_INTERVAL: '100ms' } })
  await inn.lodge(STACK, { labels: { 'hostler.idle': `${IDLE_MS}ms` } })
  await inn.open()
  await inn.settled([STACK])
  // The first ones wake it and are Hostler's own, the others HAProxy's.
  const sockets = await openSome(inn, SOCKETS / 2)
  await inn.settled([STACK], 'awake')
  sockets.push(...(await openSome(inn, SOCKETS / 2)))
  await delay(10 * IDLE_MS)
  const alive = (await Promise.all(sockets.map((socket) => socket.answers()))).filter(Boolean).length
  const starts = await inn.starts(STACK)
  for (const socket of sockets) socket.close()
  await inn.settled([STACK], 'asleep')
  return [
    {
      ...{ what: `${SOCKETS} silent WebSockets over 10 × the idle time of ${IDLE_MS / 1000} s: cut`, unit: 'cut' },
      ...{ target: { of: 'cut', atMost: 0 }, figures: { cut: SOCKETS - alive } },
      note: `half of them woke the stack; ${starts} start, asleep after they were closed`,
    },
  ]
}

const openSome = (inn, count) => Promise.all(Array.from({ length: count }, () => openWebSocket(inn.target(STACK, '/'))))
