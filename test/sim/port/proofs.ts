/**
 * What is proven to a simulated node beyond its own log: it asks who is not known to it, and honest members show the
 * configuration that they have committed last. Stands in for the signatures, which protocols/consensus/proof/ has tests of
 * its own for; what is tested here is that a group needs no more than that, and nothing less.
 *
 * State: by node, the newest configuration that was shown; it is on the disk, and goes with it.
 */

import type { VirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import type { ProvenVoters } from '../../../protocols/consensus/group/group-api.ts'
import type { Nodes, SimNode } from './node.ts'

const ASK_MS = [2, 40] as const
/** One member is asked once in this time. */
const ASK_AGAIN_MS = 200

export interface Shown {
  /** Of the configuration. */
  index: number
  term: number
  voters: readonly string[]
  readonly askedAt: Map<string, number>
}

export const nothingShown = (): Shown => ({ index: 0, term: 0, voters: [], askedAt: new Map() })

export const createProofs =
  (nodes: Nodes, time: VirtualTime, random: () => number) =>
  (node: SimNode, isOver: () => boolean): ProvenVoters => {
    const { shown } = node
    const learn = (member: string): void => {
      const other = nodes.all.find((one) => nodes.idOf(one) === member && one.life?.group !== undefined)
      const status = other?.life?.group?.status()
      // What an intruder shows proves nothing.
      if (isOver() || status === undefined) return
      shown.term = Math.max(shown.term, status.commitTerm)
      if (status.configurationIndex > status.commit || status.configurationIndex <= shown.index) return
      shown.index = status.configurationIndex
      shown.voters = status.configuration.voters
    }
    return {
      isVoter: (member) => shown.voters.includes(member),
      term: () => shown.term,
      isEnforced: () => true,
      requestProof(member) {
        const now = time.now()
        if (now - (shown.askedAt.get(member) ?? Number.NEGATIVE_INFINITY) < ASK_AGAIN_MS) return
        shown.askedAt.set(member, now)
        time.after(ASK_MS[0] + random() * (ASK_MS[1] - ASK_MS[0]), () => learn(member))
      },
    }
  }
