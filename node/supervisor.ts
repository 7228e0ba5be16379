/**
 * Keeps the mesh connected: libp2p dials nobody by itself and gives up early, so this does.
 *
 * Targets are the join addresses (with or without a peer id, which Noise then proves) and the peers that the directory
 * names (all of them up to `maxPeers`: a full mesh). Each target is dialled, and dialled again with a jittered
 * exponential backoff; a lost connection is dialled again at once, and a peer that answers no more is reported gone.
 * State: one entry per target, bounded by the directory and the options.
 */
import type { Connection } from '@libp2p/interface'
import { isParleyError, ParleyError } from '../protocols/errors.ts'
import type { Clock, Log, Stop, Timers } from '../protocols/port.ts'

export interface SupervisorDeps {
  self: string
  clock: Clock
  timers: Timers
  log: Log
  /** A number from 0 to 1. */
  chance(): number
  /** Dials and returns once the connection is admitted. @throws SEC001 when it was refused */
  dial(addresses: string[], peer: string | undefined): Promise<Connection>
  /** A connection is there, or is being admitted. */
  connected(peer: string): boolean
  /** Addresses that the directory has for a peer; empty when it was forgotten. */
  addressesOf(peer: string): string[]
  /** A known peer cannot be reached any more. */
  unreachable(peer: string): void
  join: readonly string[]
  backoffMinMs: number
  backoffMaxMs: number
  maxPeers: number
}

export interface Supervisor {
  start(): void
  /** A peer that the directory named. */
  want(peer: string): void
  /** It left on purpose, or its record ran out: no more dials. */
  unwant(peer: string): void
  /** The last connection to a peer is gone. */
  lost(peer: string): void
  /** Dials now, whatever the backoff says; shared with a dial under way. */
  reach(peer: string): Promise<Connection>
  /** Join addresses and how they fare, for people. */
  sources(): { address: string; peer: string | undefined; failures: number; lastError: string | undefined }[]
  /** The refusal (SEC001) of the last join source, when all of them refused. */
  refusedEverywhere(): ParleyError | undefined
  stop(): void
}

interface Target {
  /** Join address; undefined for a peer that the directory named. */
  address: string | undefined
  peer: string | undefined
  failures: number
  nextAt: number
  dialling: Promise<Connection> | undefined
  lastError: Error | undefined
  /** Kept, since the directory forgets who is gone. */
  addresses: string[]
}

const TICK_MS = 100
/** A call to the peer does not wait: it dials at once. */
const HIGHER_WAITS_MS = 1_000
/** Dials of a lost peer that fail before it is called gone. */
const GONE_AFTER_FAILURES = 2

/** A peer that is gone is dialled this often before it is forgotten; who comes back dials us as well. */
const FORGET_AFTER_FAILURES = 20

const peerIn = (address: string): string | undefined => /\/p2p\/([^/]+)$/.exec(address)?.[1]

export const createSupervisor = (deps: SupervisorDeps): Supervisor => {
  const sources: Target[] = deps.join.map((address) => ({
    address,
    peer: peerIn(address),
    failures: 0,
    nextAt: 0,
    dialling: undefined,
    lastError: undefined,
    addresses: [address],
  }))
  const peers = new Map<string, Target>()
  let stopTick: Stop = () => {}
  let stopped = false

  const backoffMs = (failures: number): number => {
    const top = Math.min(deps.backoffMaxMs, deps.backoffMinMs * 2 ** Math.min(failures, 16))
    return top / 2 + (top / 2) * deps.chance()
  }

  const failed = (target: Target, error: Error): void => {
    target.failures += 1
    target.lastError = error
    // A refusal does not heal by itself: the longest pause.
    const pause = isParleyError(error, 'SEC001') ? deps.backoffMaxMs : backoffMs(target.failures)
    target.nextAt = deps.clock.monotonic() + pause
    const what = target.address ?? target.peer
    if (target.failures === 1 || isParleyError(error, 'SEC001'))
      deps.log.warn(`cannot join ${what}: ${error.message}`, { error })
    if (target.address === undefined && target.peer !== undefined && target.failures >= GONE_AFTER_FAILURES) {
      deps.unreachable(target.peer)
      if (target.failures >= FORGET_AFTER_FAILURES) peers.delete(target.peer)
    }
  }

  const dial = (target: Target): Promise<Connection> => {
    if (target.dialling !== undefined) return target.dialling
    const known = target.address === undefined ? deps.addressesOf(target.peer ?? '') : []
    if (known.length > 0) target.addresses = known
    const run = async (): Promise<Connection> => {
      try {
        // Who is behind a join address may be somebody else by now: only the directory's peers are dialled by their id.
        const connection = await deps.dial(target.addresses, target.address === undefined ? target.peer : undefined)
        target.peer = connection.remotePeer.toString()
        target.failures = 0
        target.lastError = undefined
        return connection
      } catch (error) {
        failed(target, error instanceof Error ? error : new Error(String(error)))
        throw error
      } finally {
        target.dialling = undefined
      }
    }
    target.dialling = run()
    target.dialling.catch(() => {})
    return target.dialling
  }

  const due = (target: Target, now: number): boolean =>
    target.dialling === undefined &&
    target.nextAt <= now &&
    target.peer !== deps.self &&
    (target.peer === undefined || !deps.connected(target.peer))

  const tick = (): void => {
    if (stopped) return
    const now = deps.clock.monotonic()
    for (const target of sources) if (due(target, now)) void dial(target).catch(() => {})
    for (const target of peers.values()) if (due(target, now)) void dial(target).catch(() => {})
  }

  const targetOf = (peer: string, nextAt: number): Target => {
    const known = peers.get(peer)
    if (known !== undefined) return known
    const made: Target = {
      address: undefined,
      peer,
      failures: 0,
      nextAt,
      dialling: undefined,
      lastError: undefined,
      addresses: [],
    }
    peers.set(peer, made)
    return made
  }

  return {
    start() {
      stopTick = deps.timers.every(TICK_MS, tick)
      tick()
    },
    want(peer) {
      if (peer === deps.self || peers.has(peer) || peers.size >= deps.maxPeers) return
      // The higher id waits, also when the machine is busy: most pairs then make one connection, not two.
      const pause = deps.self < peer ? 0 : HIGHER_WAITS_MS * (1 + deps.chance())
      targetOf(peer, deps.clock.monotonic() + pause)
      if (pause === 0) tick()
    },
    unwant: (peer) => void peers.delete(peer),
    lost(peer) {
      const target = peers.get(peer)
      if (target === undefined || stopped) return
      target.failures = 0
      target.nextAt = deps.clock.monotonic() + (deps.self < peer ? 0 : deps.backoffMinMs * deps.chance())
      tick()
    },
    reach(peer) {
      const source = sources.find((target) => target.peer === peer)
      const target = peers.get(peer) ?? source
      if (target !== undefined) return dial(target)
      // Not wanted by the directory (a mesh larger than maxPeers): dialled on demand, and forgotten again.
      return dial({
        address: undefined,
        peer,
        failures: 0,
        nextAt: 0,
        dialling: undefined,
        lastError: undefined,
        addresses: [],
      })
    },
    sources: () =>
      sources.map(({ address, peer, failures, lastError }) => ({
        address: address ?? '',
        peer,
        failures,
        lastError: lastError?.message,
      })),
    refusedEverywhere() {
      const errors = sources.map(({ lastError }) => lastError)
      if (errors.length === 0 || !errors.every((error) => isParleyError(error, 'SEC001'))) return undefined
      const [first] = errors
      return first instanceof ParleyError ? first : undefined
    },
    stop() {
      stopped = true
      stopTick()
    },
  }
}
