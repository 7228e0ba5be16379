/**
 * Whether others can dial this node: it asks a few members to try, and they prove it with the key that answers there.
 *
 * Members dial only addresses of whoever asks, a few at a time and not again for a while. A connection that was made to
 * try is closed at once and never admitted. Wire id: `/parley/reach/1`. State: peers that are being tried or were just now,
 * and connections that opened meanwhile.
 */
import type { Connection } from '@libp2p/interface'
import * as z from 'zod'
import { defineProtocol } from '../../../protocols/define.ts'
import type { Port } from '../../../protocols/port.ts'
import { addressProblem, endingWith, isRelayed, peerAtEnd } from '../addresses/multiaddresses.ts'
import { isDialRefusal } from '../dial/dial-policy.ts'

/** Addresses of one node that are tried. */
export const MAX_TRIED = 8
/** Trials for others at the same time; beyond it the answer is that nothing was tried. */
const MAX_TRIALS = 8
const TRIAL_MS = 3_000
/** Between two trials for one peer: a member cannot have others knock at many doors for it. */
const REST_MS = 3_000
/** Members that are asked. */
const MAX_ASKED = 3

export const autonatProtocol = defineProtocol({
  name: 'reach',
  version: '1.0.0',
  methods: {
    try: {
      description: 'Dials the caller at these addresses: reached, unreached, or untried',
      request: z.object({ addresses: z.array(z.string().max(512)).max(MAX_TRIED) }),
      response: z.object({ outcome: z.string().max(32) }),
      timeoutMs: TRIAL_MS + 2_000,
      priority: 'low',
    },
  },
})

export interface AutonatDeps {
  readonly port: Pick<Port, 'serve' | 'to' | 'clock'>
  /** Dials this address, which ends with a peer id, whatever connections there are. */
  dial(address: string, signal: AbortSignal): Promise<Connection>
  /** The connection was made for something else: it is admitted like any other. */
  admit(connection: Connection): void
  chance(): number
}

export interface Autonat {
  /** For a connection that just opened: whether it was made to try if a peer can be dialled, as far as is known. */
  isDialBack(connection: Connection): boolean
  /**
   * Asks a few of these members.
   * @returns whether one of them tried and could not; undefined where none tried
   */
  isUnreachable(members: readonly string[], addresses: readonly string[]): Promise<boolean | undefined>
  counts(): Readonly<Record<'reached' | 'unreached' | 'untried', number>>
  stop(): Promise<void>
}

const usable = (address: string, peer: string): string | undefined => {
  if (addressProblem(address, 'announce') !== undefined || isRelayed(address)) return undefined
  const whole = endingWith(address, peer)
  return peerAtEnd(whole) === peer ? whole : undefined
}

const someOf = (members: readonly string[], chance: () => number): string[] =>
  members
    .map((id) => ({ id, rank: chance() }))
    .toSorted((a, b) => a.rank - b.rank)
    .slice(0, MAX_ASKED)
    .map(({ id }) => id)

export const createAutonat = async ({ port, dial, admit, chance }: AutonatDeps): Promise<Autonat> => {
  /** By peer: outbound connections to it that opened during the trial. */
  const trying = new Map<string, Set<Connection>>()
  /** By peer: when its last trial began; those of the last REST_MS. */
  const tried = new Map<string, number>()
  const counts = { reached: 0, unreached: 0, untried: 0 }

  const isEarly = (peer: string): boolean => {
    const since = port.clock.monotonic() - REST_MS
    for (const [other, at] of tried) if (at <= since) tried.delete(other)
    return tried.has(peer)
  }

  const reaches = async (
    addresses: readonly string[],
    opened: ReadonlySet<Connection>,
  ): Promise<'reached' | 'unreached' | 'untried'> => {
    const enough = new AbortController()
    const signal = AbortSignal.any([AbortSignal.timeout(TRIAL_MS), enough.signal])
    const dials = addresses.map(async (address) => {
      const connection = await dial(address, signal)
      enough.abort(new Error('another address answered'))
      return connection
    })
    const outcomes = await Promise.allSettled(dials)
    const made = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    for (const connection of made)
      connection.abort(new Error('this connection was made to try whether the peer can be dialled'))
    // Somebody else here dialled the same peer at the same time.
    for (const connection of opened) if (connection.status === 'open' && !made.includes(connection)) admit(connection)
    if (made.length > 0) return 'reached'
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
    return failures.length > 0 && failures.every(isDialRefusal) ? 'untried' : 'unreached'
  }

  const unserve = await port.serve(autonatProtocol, {
    async try({ addresses }, { peer }) {
      const targets = addresses.flatMap((address) => usable(address, peer) ?? [])
      if (trying.size >= MAX_TRIALS || trying.has(peer) || isEarly(peer)) {
        counts.untried += 1
        return { outcome: 'untried' }
      }
      tried.set(peer, port.clock.monotonic())
      const opened = new Set<Connection>()
      trying.set(peer, opened)
      try {
        const outcome = await reaches(targets, opened)
        counts[outcome] += 1
        return { outcome }
      } finally {
        trying.delete(peer)
      }
    },
  })

  return {
    isDialBack(connection) {
      const opened = connection.direction === 'outbound' ? trying.get(connection.remotePeer.toString()) : undefined
      opened?.add(connection)
      return opened !== undefined
    },
    async isUnreachable(members, addresses) {
      if (addresses.length === 0) return true
      const asked = someOf(members, chance).map((id) =>
        port.to(id, autonatProtocol).try({ addresses: addresses.slice(0, MAX_TRIED) }),
      )
      const answers = await Promise.allSettled(asked)
      const outcomes = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value.outcome] : []))
      if (outcomes.includes('unreached')) return true
      return outcomes.includes('reached') ? false : undefined
    },
    counts: () => counts,
    stop: unserve,
  }
}
