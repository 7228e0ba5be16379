/**
 * Whether others can dial this node: it asks a few members to try, and they prove it with the key that answers there.
 *
 * Members dial only addresses of whoever asks, a few at a time. A connection that was made to try is closed at once and
 * never admitted. Wire id: `/parley/reach/1`. State: peers that are being tried.
 */
import type { Connection } from '@libp2p/interface'
import * as z from 'zod'
import { defineProtocol } from '../protocols/define.ts'
import type { Port } from '../protocols/port.ts'
import { addressProblem, isRelayed } from './addresses.ts'

const MAX_TRIED = 8
/** Trials for others at the same time; beyond it the answer is that nothing was tried. */
const MAX_TRIALS = 8
const TRIAL_MS = 3_000
/** Members that are asked. */
const MAX_ASKED = 3

export const reachProtocol = defineProtocol({
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

export interface ReachDeps {
  readonly port: Pick<Port, 'serve' | 'to'>
  /** Dials this address, which ends with a peer id, whatever connections there are. */
  dial(address: string, signal: AbortSignal): Promise<Connection>
  chance(): number
}

export interface Reach {
  /** True for a connection that was made to try whether a peer can be dialled. */
  isTrial(connection: Connection): boolean
  /**
   * Asks a few of these members.
   * @returns whether one of them tried and could not; undefined where none tried
   */
  isBlocked(members: readonly string[], addresses: readonly string[]): Promise<boolean | undefined>
  counts(): Readonly<Record<'reached' | 'unreached' | 'untried', number>>
  stop(): Promise<void>
}

const usable = (address: string, peer: string): string | undefined => {
  if (addressProblem(address, 'announce') !== undefined || isRelayed(address)) return undefined
  const [named] = /\/p2p\/[^/]+$/.exec(address) ?? []
  if (named === undefined) return `${address}/p2p/${peer}`
  return named === `/p2p/${peer}` ? address : undefined
}

const someOf = (members: readonly string[], chance: () => number): string[] =>
  members
    .map((id) => ({ id, rank: chance() }))
    .toSorted((a, b) => a.rank - b.rank)
    .slice(0, MAX_ASKED)
    .map(({ id }) => id)

export const createReach = async ({ port, dial, chance }: ReachDeps): Promise<Reach> => {
  const trying = new Set<string>()
  const counts = { reached: 0, unreached: 0, untried: 0 }

  const reaches = async (addresses: readonly string[]): Promise<boolean> => {
    const signal = AbortSignal.timeout(TRIAL_MS)
    const tries = addresses.map(async (address) => {
      const connection = await dial(address, signal)
      connection.abort(new Error('this connection was made to try whether the peer can be dialled'))
    })
    const outcomes = await Promise.allSettled(tries)
    return outcomes.some(({ status }) => status === 'fulfilled')
  }

  const unserve = await port.serve(reachProtocol, {
    async try({ addresses }, { peer }) {
      const targets = addresses.flatMap((address) => usable(address, peer) ?? [])
      if (trying.size >= MAX_TRIALS || trying.has(peer)) {
        counts.untried += 1
        return { outcome: 'untried' }
      }
      trying.add(peer)
      try {
        const outcome = (await reaches(targets)) ? 'reached' : 'unreached'
        counts[outcome] += 1
        return { outcome }
      } finally {
        trying.delete(peer)
      }
    },
  })

  return {
    isTrial: ({ direction, remotePeer }) => direction === 'outbound' && trying.has(remotePeer.toString()),
    async isBlocked(members, addresses) {
      if (addresses.length === 0) return true
      const asked = someOf(members, chance).map((id) =>
        port.to(id, reachProtocol).try({ addresses: addresses.slice(0, MAX_TRIED) }),
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
