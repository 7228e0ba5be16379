/** A stranger, without the secret: buffers behind held streams, sockets that never say who they are. Issue 16, A1. */
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Connection, Stream } from '@libp2p/interface'
import type { Attack, Findings, Run } from '../attack.ts'
import { harmOf, lateOf } from '../judge.ts'
import { notice } from '../members/honest.ts'
import { forkMember, type Member } from '../members/member.ts'
import { openTown, type Town } from '../members/town.ts'
import type { Attacker } from '../raw/attacker.ts'
import { helloBytes } from '../raw/frames.ts'

const CONNECTIONS = 50
const STREAMS = 64
/** Just below what libp2p takes of a stream that nobody reads. */
const STREAM_BYTES = 4 * 1024 * 1024 - 65_536
const CHUNK_BYTES = 65_536
const SOCKETS = 300
const RENEW_MS = 20
const JOIN_MS = 15_000
const HELD = '/parley/probe/1'

/** @returns milliseconds until it was in; undefined where it was not let in */
const newcomer = async (town: Town, name: string): Promise<number | undefined> => {
  const child = forkMember()
  try {
    const { options, logFile } = town.optionsOf(name)
    const started = await child.ask('start', { options, logFile, withinMs: JOIN_MS })
    return 'facts' in started ? started.facts.joinedMs : undefined
  } finally {
    await child.kill()
  }
}

/** @param attack goes on until its signal is aborted */
const against = async (
  { seconds, say }: Run,
  attack: (town: Town, victim: Member, signal: AbortSignal, tried: Record<string, number>) => Promise<void>,
): Promise<Findings> => {
  const town = await openTown()
  try {
    const victim = await town.add('victim')
    const caller = await town.add('caller')
    const quietMs = await newcomer(town, 'early')
    const tried: Record<string, number> = {}
    let joinedMs: number | undefined
    const noticed = await notice({ victim, caller }, async () => {
      const ending = new AbortController()
      const attacking = attack(town, victim, ending.signal, tried)
      // In the middle of it, when all that is held is held.
      await delay(seconds * 500)
      joinedMs = await newcomer(town, 'late')
      say(`a newcomer got in within ${joinedMs === undefined ? '(never)' : Math.round(joinedMs)} ms`)
      await delay(seconds * 500)
      ending.abort()
      await attacking
    })
    return {
      tried,
      refused: noticed.refused,
      before: noticed.before,
      during: noticed.during,
      memory: noticed,
      reached: [...harmOf(noticed), ...lateOf(joinedMs, quietMs ?? 0)],
    }
  } finally {
    await town.end()
  }
}

/** Sends as much as the other side takes, and never reads. */
const fill = async (stream: Stream, signal: AbortSignal): Promise<number> => {
  const chunk = new Uint8Array(CHUNK_BYTES)
  let sent = 0
  stream.send(helloBytes())
  while (sent < STREAM_BYTES && stream.status === 'open' && !signal.aborted) {
    if (stream.send(chunk)) sent += CHUNK_BYTES
    else {
      sent += CHUNK_BYTES
      await new Promise<void>((resolve) => {
        for (const event of ['drain', 'close'] as const) stream.addEventListener(event, () => resolve(), { once: true })
        signal.addEventListener('abort', () => resolve(), { once: true })
        setTimeout(resolve, 500)
      })
    }
  }
  return sent
}

const holdOne = async (
  attacker: Attacker,
  connection: Connection,
  signal: AbortSignal,
  tried: Record<string, number>,
) => {
  const add = (what: string, more: number): void => {
    tried[what] = (tried[what] ?? 0) + more
  }
  add('connections', 1)
  const opened = Array.from({ length: STREAMS }, async () => {
    const stream = await connection.newStream(HELD, { maxOutboundStreams: STREAMS * 2, signal })
    add('streams', 1)
    add('MiB sent', (await fill(stream, signal)) / 2 ** 20)
  })
  await Promise.allSettled(opened)
  while (connection.status === 'open' && !signal.aborted) await delay(100)
  await connection.close().catch(() => {})
  void attacker
}

const heldStreams: Attack = {
  name: 'held-streams',
  line: 'A1',
  by: 'stranger',
  about: `${CONNECTIONS} connections without a token, ${STREAMS} streams each, up to 4 MiB sent on each before admission`,
  play: (run) =>
    against(run, async (town, victim, signal, tried) => {
      const attackers = await Promise.all(Array.from({ length: CONNECTIONS }, () => town.attacker()))
      const lane = async (attacker: Attacker): Promise<void> => {
        while (!signal.aborted) {
          const connection = await attacker.dial(victim.address()).catch(() => undefined)
          if (connection === undefined) {
            tried['dials refused'] = (tried['dials refused'] ?? 0) + 1
            await delay(250)
          } else await holdOne(attacker, connection, signal, tried)
        }
      }
      await Promise.all(attackers.map(lane))
    }),
}

const portOf = (address: string): number => Number(/tcp\/(\d+)/.exec(address)?.[1])

/** Keeps so many sockets open that say nothing, or only the first words; renews those that are closed. */
const halfOpenSockets = async (
  port: number,
  count: number,
  signal: AbortSignal,
  tried: Record<string, number>,
): Promise<void> => {
  const sockets = new Set<Socket>()
  const open = (i: number): void => {
    if (signal.aborted) return
    tried.sockets = (tried.sockets ?? 0) + 1
    const socket = connect(port, '127.0.0.1', () => {
      // Every other one begins the handshake and stops there.
      if (i % 2 === 0) socket.write('\x13/multistream/1.0.0\n')
    })
    sockets.add(socket)
    socket.on('error', () => {})
    socket.resume()
    socket.on('close', () => {
      sockets.delete(socket)
      setTimeout(() => open(i), RENEW_MS)
    })
  }
  for (let i = 0; i < count; i += 1) open(i)
  while (!signal.aborted) await delay(50)
  for (const socket of sockets) socket.destroy()
}

const halfOpen: Attack = {
  name: 'half-open',
  line: 'A1',
  by: 'stranger',
  about: `${SOCKETS} sockets that never finish the handshake, renewed when they are closed`,
  play: (run) =>
    against(run, (_town, victim, signal, tried) => halfOpenSockets(portOf(victim.address()), SOCKETS, signal, tried)),
}

/** Of one identity: what counts peers does not see them. */
const LOITERING = 300
const loitering: Attack = {
  name: 'loitering',
  line: 'A1',
  by: 'stranger',
  about: `${LOITERING} whole connections of 10 identities that show no token, renewed when they are closed`,
  play: (run) =>
    against(run, async (town, victim, signal, tried) => {
      const attackers = await Promise.all(Array.from({ length: 10 }, () => town.attacker()))
      const lane = async (attacker: Attacker): Promise<void> => {
        while (!signal.aborted) {
          const connection = await attacker.dial(victim.address(), true).catch(() => undefined)
          const what = connection === undefined ? 'dials refused' : 'connections'
          tried[what] = (tried[what] ?? 0) + 1
          if (connection === undefined) await delay(100)
          while (connection?.status === 'open' && !signal.aborted) await delay(100)
        }
      }
      await Promise.all(Array.from({ length: LOITERING }, (_, i) => attackers[i % 10]).map((one) => one && lane(one)))
    }),
}

export const strangers: readonly Attack[] = [heldStreams, halfOpen, loitering]
