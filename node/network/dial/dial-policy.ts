/**
 * What this node dials: the rules (dial-rules.ts) and the budget (dial-budget.ts) with what a running node knows: which
 * addresses its operator named, and which peers run on this machine. libp2p's gater asks it for each address, and so does
 * each dial that goes past the gater, so nothing is dialled without it.
 *
 * A peer runs on this machine where it was connected, as a member, over loopback or one of this machine's own addresses.
 * State: the operator's addresses, those peers (at most `MAX_LOCAL`), the budget, counts.
 */
import { networkInterfaces } from 'node:os'
import type { Connection } from '@libp2p/interface'
import type { NameLookup } from '../../../discovery/dns.ts'
import type { ErrorReason } from '../../../protocols/error-reasons.ts'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import type { Clock, Log, Metrics } from '../../../protocols/port.ts'
import type { DialSettings } from '../../options/dial-options.ts'
import { type IpNetwork, parseNetwork } from '../addresses/ip-networks.ts'
import { isLoopback, isRelayed, peerAtEnd } from '../addresses/multiaddresses.ts'
import { type BudgetShortage, createDialBudget } from './dial-budget.ts'
import { addressRefusal, type DialContext, type DialRefusal, ipRefusal, namesIn } from './dial-rules.ts'

export type DialRefusalReason = DialRefusal | BudgetShortage

const MAX_LOCAL = 1024
const INTERFACES_MS = 10_000
/** A peer that is refused again and again is told of once in so long. */
const LOG_MS = 60_000

export interface DialPolicyDeps {
  readonly clock: Clock
  readonly log: Log
  readonly settings: DialSettings
  /** What the operator told this node of itself and of others. */
  readonly operator: {
    readonly listen: readonly string[]
    readonly announce: readonly string[]
    readonly join: readonly string[]
  }
  readonly lookup: Pick<NameLookup, 'v4' | 'v6'>
  /** On whose word this node dials the peer; none where that is not known. */
  announcers(peer: string): readonly string[]
  readonly metrics: Pick<Metrics, 'counter'>
}

const WORDS: Readonly<Record<DialRefusalReason, string>> = {
  denied: 'a network of dial.deny holds it',
  'link-local': 'it is link-local',
  metadata: 'it is the metadata service of a cloud',
  loopback: 'it is the loopback of another machine',
  unspecified: 'it is the unspecified address',
  multicast: 'it is a multicast address',
  reserved: 'it is a reserved address',
  name: 'it is a name that a peer announces',
  form: 'it is no address that this node dials',
  nested: 'it leads through more than one relay',
  author: 'it leads to another peer',
  budget: 'its peer was dialled too often in vain',
  announcer: 'who announced its peer announced too many that are not there',
}
const HINTS: Partial<Readonly<Record<DialRefusalReason, string>>> = {
  denied: 'change dial.deny, or allow a smaller network in dial.allow',
  name: 'set dial.names to true, or have the peer announce IP addresses',
  budget: 'it is dialled again after a while; is the peer up, and does it announce the addresses where it listens?',
  announcer: 'it is dialled again after a while, or once a neighbour that is connected to it says so',
  form: 'have the peer announce addresses such as /ip4/192.0.2.1/tcp/8081',
}

const hostOf = (address: string): string => /^\/ip[46]\/([^/]+)/.exec(address)?.[1] ?? ''
const withoutPeer = (address: string): string => address.replace(/\/p2p\/[^/]+$/, '')

const refusal = (address: string, why: DialRefusalReason): ParleyError =>
  new ParleyError('COM002', `${address} is not dialled: ${WORDS[why]}`, {
    hint: HINTS[why] ?? 'allow its network in dial.allow if it is meant, or have the peer announce another address',
    details: { sent: false, reason: why satisfies ErrorReason<'COM002'> },
  })

/** The dial was not made: this node does not dial there, or not now. */
export const isDialRefusal = (error: unknown): boolean =>
  isParleyError(error, 'COM002') && typeof error.details.reason === 'string' && error.details.reason in WORDS

const networksOf = (texts: readonly string[]): IpNetwork[] => texts.flatMap((text) => parseNetwork(text) ?? [])

export class DialPolicy {
  readonly #deps: DialPolicyDeps
  readonly #rules
  /** Of the operator's names: what each stands for. */
  readonly #resolved = new Map<string, ReadonlySet<string>>()
  readonly #own
  readonly #isLocalOnly
  readonly #local = new Set<string>()
  readonly #budget
  readonly #counts: Record<string, number> = {}
  readonly #counted
  readonly #said = new Map<string, number>()
  #interfaces: { atMs: number; addresses: ReadonlySet<string> } | undefined

  constructor(deps: DialPolicyDeps) {
    this.#deps = deps
    this.#rules = {
      allow: networksOf(deps.settings.allow),
      deny: networksOf(deps.settings.deny),
      names: deps.settings.names,
    }
    this.#own = new Set(deps.operator.join.map(withoutPeer))
    this.#isLocalOnly = [deps.operator.listen, deps.operator.announce, deps.operator.join].flat().every(isLoopback)
    this.#budget = createDialBudget(deps.clock)
    this.#counted = deps.metrics.counter('dials_refused_total', 'Dials that were not made, by reason', ['reason'])
  }

  #isOfThisMachine(host: string): boolean {
    const now = this.#deps.clock.monotonic()
    if (this.#interfaces === undefined || now - this.#interfaces.atMs > INTERFACES_MS) {
      const addresses = Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address))
      this.#interfaces = { atMs: now, addresses: new Set(addresses) }
    }
    return this.#interfaces.addresses.has(host)
  }

  #contextOf(address: string, announcer: string | undefined): DialContext {
    const bare = withoutPeer(address)
    const isOwn = this.#own.has(bare) || [...this.#resolved.values()].some((addresses) => addresses.has(bare))
    return {
      rules: this.#rules,
      isOwn,
      isSameMachine: this.#isLocalOnly || (announcer !== undefined && this.#local.has(announcer)),
      announcer,
    }
  }

  #count(address: string, why: DialRefusalReason, peer: string | undefined): void {
    this.#counts[why] = (this.#counts[why] ?? 0) + 1
    this.#counted({ reason: why satisfies ErrorReason<'COM002'> })
    const now = this.#deps.clock.monotonic()
    const key = peer ?? address
    if (now - (this.#said.get(key) ?? Number.NEGATIVE_INFINITY) < LOG_MS) return
    if (this.#said.size >= MAX_LOCAL) this.#said.clear()
    this.#said.set(key, now)
    this.#deps.log.info(refusal(address, why).message, { ...(peer !== undefined && { peer }) })
  }

  /** What a name stands for may be dialled, all of it. */
  async #checkNames(address: string, context: DialContext): Promise<DialRefusal | undefined> {
    if (context.isOwn && this.#rules.deny.length === 0) return undefined
    for (const name of namesIn(address)) {
      const answers = await Promise.allSettled([this.#deps.lookup.v4(name), this.#deps.lookup.v6(name)])
      for (const ip of answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))) {
        const why = ipRefusal(ip, context)
        if (why !== undefined) return why
      }
    }
    return undefined
  }

  async #judge(address: string): Promise<DialRefusalReason | undefined> {
    const peer = peerAtEnd(address)
    const context = this.#contextOf(address, peer)
    const why = addressRefusal(address, context) ?? (await this.#checkNames(address, context))
    if (why !== undefined || context.isOwn || peer === undefined) return why
    return this.#budget.spend(peer, this.#deps.announcers(peer))
  }

  /** One dial of one address, which ends with the peer's id where that is known. @throws COM002 where it must not be made */
  async check(address: string): Promise<void> {
    const why = await this.#judge(address)
    if (why === undefined) return
    this.#count(address, why, peerAtEnd(address))
    throw refusal(address, why)
  }

  /** What a name of `join` stands for now. */
  named(source: string, addresses: readonly string[]): void {
    this.#resolved.set(source, new Set(addresses))
  }

  /** Of the addresses that a peer announces, those that may be dialled. @throws COM002 where none may */
  choose(addresses: readonly string[], peer: string): string[] {
    const judged = addresses.map((address) => ({ address, context: this.#contextOf(address, peer) }))
    const why = judged.map(({ address, context }) => addressRefusal(address, context))
    for (const [at, one] of why.entries()) if (one !== undefined) this.#count(addresses[at] ?? '', one, peer)
    const chosen = judged.filter((_, at) => why[at] === undefined)
    const [first] = addresses
    if (first !== undefined && chosen.length === 0) throw refusal(first, why[0] ?? 'form')
    const isFree = first === undefined || chosen.some(({ context }) => context.isOwn)
    const lacking = isFree ? undefined : this.#budget.shortage(peer, this.#deps.announcers(peer))
    if (first === undefined || lacking === undefined) return chosen.map(({ address }) => address)
    this.#count(first, lacking, peer)
    throw refusal(first, lacking)
  }

  /** For libp2p's gater. */
  async denies(address: string): Promise<boolean> {
    try {
      await this.check(address)
      return false
    } catch {
      // It was counted, and whoever dials is told that nothing is left.
      return true
    }
  }

  /** Its peer is a member. */
  admitted({ remoteAddr, remotePeer, direction }: Connection): void {
    const peer = remotePeer.toString()
    if (direction === 'outbound') this.#budget.succeeded(peer)
    const address = remoteAddr.toString()
    if (isRelayed(address) || !(isLoopback(address) || this.#isOfThisMachine(hostOf(address)))) return
    this.#local.delete(peer)
    this.#local.add(peer)
    const [oldest] = this.#local
    if (this.#local.size > MAX_LOCAL && oldest !== undefined) this.#local.delete(oldest)
  }

  refused(): Readonly<Record<string, number>> {
    return this.#counts
  }
}

export const createDialPolicy = (deps: DialPolicyDeps): DialPolicy => new DialPolicy(deps)
