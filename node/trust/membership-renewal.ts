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

export class MembershipRenewal {
  readonly #deps: MembershipRenewalDeps
  readonly #count
  #onOutcast: Outcast = () => {}
  readonly #listeners = new Set<(refused: RefusedPeer) => void>()
  /** Those of whose end their peer has spoken; it is said once. */
  readonly #spokenOf = new WeakSet<Membership>()
  readonly #isNews: (what: string) => boolean
  readonly memberships: Memberships
  #stops: (() => void)[] = []

  constructor(deps: MembershipRenewalDeps) {
    this.#deps = deps
    this.#count = deps.metrics.counter(
      'memberships_ended_total',
      'Memberships that ended while the peer was connected, by reason.',
      ['reason'],
    )
    this.#isNews = createRepeatFilter(deps.clock)
    this.memberships = new Memberships({
      clock: deps.clock,
      timers: deps.timers,
      chance: deps.chance,
      accepts: (issuer) => deps.trust.accepts(issuer),
      proveMs: () => PROVE_EXCHANGES * deps.timeoutMs(),
      renew: (peer) => this.#renew(peer),
      ended: (peer, error) => this.#ended(peer, error),
    })
  }

  #tellListeners(connection: Connection, error: ParleyError): RefusedPeer {
    const reason = typeof error.details.reason === 'string' ? error.details.reason : error.code
    const refused = { id: connection.remotePeer.toString(), address: connection.remoteAddr.toString(), reason }
    for (const fn of this.#listeners) fn(refused)
    return refused
  }

  async #close(connections: readonly Connection[], error: ParleyError): Promise<void> {
    const [first] = connections
    // It may be frozen, or of a version that knows no such words: its next dial tells it.
    if (first !== undefined) await tellEnded(this.#deps.links, first, String(error.details.reason)).catch(() => {})
    this.#deps.timers.after(FAREWELL_MS, () => {
      for (const connection of connections) connection.abort(error)
    })
  }

  #ended(peer: string, error: ParleyError): void {
    const connections = this.#deps.connectionsOf(peer)
    const [first] = connections
    if (first === undefined) return
    const { reason } = this.#tellListeners(first, error)
    this.#count({ reason })
    this.#deps.log.warn(`the membership of a peer ended: ${error.message}`, { peer, reason, hint: error.hint })
    for (const connection of connections) {
      this.#deps.gate.settle(connection, 'refused')
      this.#deps.router.abortRequests(connection, error)
      this.#deps.peers.remove(connection)
    }
    if (reason === 'changed-secret') this.#onOutcast(peer)
    void this.#close(connections, error)
  }

  async #renew(peer: string): Promise<void> {
    const entry = this.#deps.peers.get(peer)
    if (entry === undefined)
      throw new ParleyError('COM002', `the connection to ${peer} was given up`, { hint: 'nothing needs it any more' })
    try {
      await this.#deps.renew(entry.chosen)
    } catch (error) {
      this.#deps.log.warn('a membership could not be renewed; it is tried again until it ends', { peer, error })
      const skew = refusedSkew(error)
      if (skew !== undefined) this.#deps.skews.measuredOnRefusal(peer, entry.name, skew)
      throw error
    }
  }

  onRefused(fn: (refused: RefusedPeer) => void): Stop {
    this.#listeners.add(fn)
    return () => void this.#listeners.delete(fn)
  }

  /** A connection was not admitted, by this side or the other. */
  refused(connection: Connection, error: ParleyError, side: 'ours' | 'theirs'): void {
    this.#deps.gate.settle(connection, 'refused')
    const who = side === 'ours' ? 'refused a peer' : 'a peer refused this node'
    const refused = this.#tellListeners(connection, error)
    // What a stranger advises is not passed on.
    const own = error.remote ? undefined : error.hint
    const hint = refused.reason === 'founded-apart' ? FOUNDED_APART : own
    const level = this.#isNews(`${side} ${refused.id} ${refused.reason}`) ? 'warn' : 'info'
    this.#deps.log[level](`${who}: ${error.message}`, { ...refused, ...(hint !== undefined && { hint }) })
    this.#deps.waiters.reject(connection, error)
  }

  /** A member showed fresh tokens. */
  renewed(peer: string, { membership, name, skew }: Pick<AdmittedPeer, 'membership' | 'name' | 'skew'>): void {
    // It may be gone since it showed its tokens.
    if (this.#deps.peers.get(peer) === undefined) return
    this.memberships.set(peer, membership)
    this.#deps.skews.measured(peer, name, skew)
  }

  /** A peer said that this node's membership has ended there. */
  endedByPeer(peer: string, reason: string): void {
    const membership = this.memberships.get(peer)
    if (membership === undefined || this.#spokenOf.has(membership)) return
    this.#spokenOf.add(membership)
    const why = TOLD[reason] ?? 'this version does not know the reason'
    this.#deps.log.warn(`a peer ended the membership of this node: ${why}`, { peer })
  }

  start(onOutcast: Outcast): void {
    this.#onOutcast = onOutcast
    this.memberships.start()
    const { timers, skews, peers, log } = this.#deps
    this.#stops = [
      () => this.memberships.stop(),
      timers.every(OWN_CLOCK_MS, createClockWatch(skews, log)),
      timers.every(CLOCKS_MS, () => {
        for (const { id } of peers.all()) if (skews.isStale(id)) this.memberships.refresh(id)
      }),
    ]
  }

  stop(): void {
    for (const stop of this.#stops) stop()
  }
}

export const createMembershipRenewal = (deps: MembershipRenewalDeps): MembershipRenewal => new MembershipRenewal(deps)
