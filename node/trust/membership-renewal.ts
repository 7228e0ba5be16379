/**
 * Keeps memberships true while a node runs: has them renewed, ends the connections of those that are over, and watches
 * this node's own clock.
 *
 * When a membership ends, everything of the peer ends with it: requests in work and links of either side, gossip both
 * ways, held streams, and its place among the members. It is told why first, where it takes that within half a second.
 * State: the memberships (memberships.ts), and what was last said of the own clock.
 */
import type { Connection } from '@libp2p/interface'
import { wireId } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Clock, Log, Metrics, Stop, Timers } from '../../protocols/port.ts'
import { callerCodec } from '../../protocols/wire/payload/contract.ts'
import type { KeyedPromises } from '../network/keyed-promises.ts'
import type { LinkPool } from '../network/link-pool.ts'
import type { Peers } from '../network/peers.ts'
import type { Router } from '../network/router.ts'
import type { Admission, AdmittedPeer } from './admission.ts'
import { type ClockSkews, refusedSkew } from './clock-skew.ts'
import { FOUNDED_APART, admissionProtocol as protocol } from './credentials.ts'
import { Memberships } from './memberships.ts'
import type { StreamGater } from './stream-gater.ts'
import type { Membership, Trust } from './trust.ts'

/** How often clocks are compared again where that is due. */
const CLOCKS_MS = 60_000
const OWN_CLOCK_MS = 5_000
/** For telling a peer that its membership is over. */
const TELL_MS = 500
/** For the words to reach it before the connection goes. */
const FAREWELL_MS = 100
/** So long the same refusal of the same peer is written by info alone. */
export const REPEAT_MS = 300_000
export const MAX_REFUSED = 256
/** Times that a peer may take for an exchange of credentials, before its membership by a former secret ends. */
const PROVE_EXCHANGES = 2

export interface MembershipRenewalDeps {
  readonly clock: Clock
  readonly timers: Timers
  readonly log: Log
  readonly metrics: Pick<Metrics, 'counter'>
  chance(): number
  readonly trust: Pick<Trust, 'accepts'>
  readonly gate: Pick<StreamGater, 'settle'>
  readonly links: Pick<LinkPool, 'openOn'>
  readonly peers: Pick<Peers, 'all' | 'get' | 'remove'>
  readonly router: Pick<Router, 'abortRequests'>
  readonly waiters: Pick<KeyedPromises<Connection>, 'reject'>
  readonly skews: ClockSkews
  /** How long an exchange of credentials may take, milliseconds. */
  timeoutMs(): number
  renew(connection: Connection): ReturnType<Admission['renew']>
  /** All that are open, in use or not. */
  connectionsOf(peer: string): Connection[]
}

/** Somebody who is not let in, or not any more. */
export interface RefusedPeer {
  readonly id: string
  readonly address: string
  readonly reason: string
}

/** It will not be let in again as it is. */
type Outcast = (peer: string) => void

export interface MembershipRenewal {
  readonly memberships: Memberships
  onRefused(fn: (refused: RefusedPeer) => void): Stop
  /** A connection was not admitted, by this side or the other. */
  refused(connection: Connection, error: ParleyError, side: 'ours' | 'theirs'): void
  /** A member showed fresh tokens. */
  renewed(peer: string, facts: Pick<AdmittedPeer, 'membership' | 'name' | 'skew'>): void
  /** A peer said that this node's membership has ended there. */
  endedByPeer(peer: string, reason: string): void
  start(outcast: Outcast): void
  stop(): void
}

const codec = callerCodec(protocol, 'ended', protocol.methods.ended)
const target = { protocolId: wireId(protocol), version: protocol.version }

/** What this node makes of the reasons that it knows; nothing that a peer wrote is repeated. */
const TOLD: Readonly<Record<string, string>> = {
  expired: 'it saw no fresh token of this node in time: compare the clocks of both machines',
  'changed-secret': 'its secret was changed: give this node the new one',
}

/** Tells the peer at the other end that its membership has ended. @throws what the call does */
const tellEnded = async (
  links: MembershipRenewalDeps['links'],
  connection: Connection,
  reason: string,
): Promise<void> => {
  const peer = connection.remotePeer.toString()
  const signal = AbortSignal.timeout(TELL_MS)
  const link = await links.openOn(connection, { ...target, peer }, signal)
  const { label, name: method, content, priority } = codec
  const payload = codec.encode({ reason })
  await link.oneWay({ label, method, payload, content, priority, timeoutMs: TELL_MS, signal })
}

/** Says once that the own clock contradicts most peers, and once that it is well again. */
const createClockWatch = (skews: ClockSkews, log: Log): (() => void) => {
  let said: string | undefined
  return () => {
    const problem = skews.ownProblem()
    if ((problem === undefined) === (said === undefined)) return
    said = problem
    if (problem === undefined) log.info('the clock of this node agrees with most peers again')
    else log.warn(problem, { hint: 'set it by NTP; connections that stand go on' })
  }
}

/** Whether something is to be told, or was told within SAME_MS; of more than MAX_REFUSED the oldest is forgotten. */
export const createRepeatFilter = (clock: Pick<Clock, 'monotonic'>): ((what: string) => boolean) => {
  const toldAt = new Map<string, number>()
  return (what) => {
    const now = clock.monotonic()
    if (now - (toldAt.get(what) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return false
    toldAt.delete(what)
    toldAt.set(what, now)
    const [oldest] = toldAt.keys()
    if (toldAt.size > MAX_REFUSED && oldest !== undefined) toldAt.delete(oldest)
    return true
  }
}

export const createMembershipRenewal = (deps: MembershipRenewalDeps): MembershipRenewal => {
  const { clock, timers, log, links, peers, skews } = deps
  const count = deps.metrics.counter(
    'memberships_ended_total',
    'Memberships that ended while the peer was connected, by reason.',
    ['reason'],
  )
  let outcast: Outcast = () => {}
  const listeners = new Set<(refused: RefusedPeer) => void>()
  /** Those of whose end their peer has spoken; it is said once. */
  const spokenOf = new WeakSet<Membership>()

  const isNews = createRepeatFilter(clock)

  const tellListeners = (connection: Connection, error: ParleyError): RefusedPeer => {
    const reason = typeof error.details.reason === 'string' ? error.details.reason : error.code
    const refused = { id: connection.remotePeer.toString(), address: connection.remoteAddr.toString(), reason }
    for (const fn of listeners) fn(refused)
    return refused
  }

  const close = async (connections: readonly Connection[], error: ParleyError): Promise<void> => {
    const [first] = connections
    // It may be frozen, or of a version that knows no such words: its next dial tells it.
    if (first !== undefined) await tellEnded(links, first, String(error.details.reason)).catch(() => {})
    timers.after(FAREWELL_MS, () => {
      for (const connection of connections) connection.abort(error)
    })
  }

  const ended = (peer: string, error: ParleyError): void => {
    const connections = deps.connectionsOf(peer)
    const [first] = connections
    if (first === undefined) return
    const { reason } = tellListeners(first, error)
    count({ reason })
    log.warn(`the membership of a peer ended: ${error.message}`, { peer, reason, hint: error.hint })
    for (const connection of connections) {
      deps.gate.settle(connection, 'refused')
      deps.router.abortRequests(connection, error)
      peers.remove(connection)
    }
    if (reason === 'changed-secret') outcast(peer)
    void close(connections, error)
  }

  const renew = async (peer: string): Promise<void> => {
    const entry = peers.get(peer)
    if (entry === undefined)
      throw new ParleyError('COM002', `the connection to ${peer} was given up`, { hint: 'nothing needs it any more' })
    try {
      await deps.renew(entry.chosen)
    } catch (error) {
      log.warn('a membership could not be renewed; it is tried again until it ends', { peer, error })
      const skew = refusedSkew(error)
      if (skew !== undefined) skews.measuredOnRefusal(peer, entry.name, skew)
      throw error
    }
  }

  const memberships = new Memberships({
    clock,
    timers,
    chance: deps.chance,
    accepts: (issuer) => deps.trust.accepts(issuer),
    proveMs: () => PROVE_EXCHANGES * deps.timeoutMs(),
    renew,
    ended,
  })

  let stops: (() => void)[] = []
  return {
    memberships,
    onRefused(fn) {
      listeners.add(fn)
      return () => void listeners.delete(fn)
    },
    refused(connection, error, side) {
      deps.gate.settle(connection, 'refused')
      const who = side === 'ours' ? 'refused a peer' : 'a peer refused this node'
      const refused = tellListeners(connection, error)
      // What a stranger advises is not passed on.
      const own = error.remote ? undefined : error.hint
      const hint = refused.reason === 'founded-apart' ? FOUNDED_APART : own
      const level = isNews(`${side} ${refused.id} ${refused.reason}`) ? 'warn' : 'info'
      log[level](`${who}: ${error.message}`, { ...refused, ...(hint !== undefined && { hint }) })
      deps.waiters.reject(connection, error)
    },
    renewed(peer, { membership, name, skew }) {
      // It may be gone since it showed its tokens.
      if (peers.get(peer) === undefined) return
      memberships.set(peer, membership)
      skews.measured(peer, name, skew)
    },
    endedByPeer(peer, reason) {
      const membership = memberships.get(peer)
      if (membership === undefined || spokenOf.has(membership)) return
      spokenOf.add(membership)
      log.warn(`a peer ended the membership of this node: ${TOLD[reason] ?? 'this version does not know the reason'}`, {
        peer,
      })
    },
    start(given) {
      outcast = given
      memberships.start()
      stops = [
        () => memberships.stop(),
        timers.every(OWN_CLOCK_MS, createClockWatch(skews, log)),
        timers.every(CLOCKS_MS, () => {
          for (const { id } of peers.all()) if (skews.isStale(id)) memberships.refresh(id)
        }),
      ]
    },
    stop() {
      for (const stop of stops) stop()
    },
  }
}
