/**
 * Power that goes at the moment that matters: right after a node told others what it must remember, and around the files of
 * its log. Such a file says from its first frame on what those before it come to: now and then power goes before that frame
 * is on the disk, the node is back at once, and power goes again when the files before it are removed. Left to chance these
 * hardly ever come together.
 *
 * State: who lost power at the beginning of its last file.
 */
import type { PortNetwork } from '../../../node/testing/virtual/port-network.ts'
import type { Faults } from './faults.ts'
import type { SimNode } from './node.ts'
import type { FileChange } from './process.ts'

/** Of messages: the share, and how soon after it. */
const AFTER_WORDS = { share: 0.002, ms: [0, 3] } as const
/** Of the files that are begun: its header, the names and its first frame are synced in this time, one after the other. */
const IN_FILE = { share: 0.1, ms: [0, 6] } as const
/** Before others have elected a leader; an election writes down the term, and the term is what may be lost. */
const BACK_MS = [20, 150] as const
/** Of the removals, and of those by who lost power at the beginning of a file; the names are synced meanwhile. */
const AFTER_REMOVAL = { share: 0.1, shareOfBegun: 0.5, ms: [0, 8] } as const

export interface DeathTotals {
  deathsInFiles: number
}

export interface Deaths {
  /** It has sent a message. */
  afterWords(node: SimNode): void
  /** It has begun or removed a file of its log. */
  afterChange(node: SimNode, change: FileChange): void
}

export const createDeaths = (
  { time, random }: PortNetwork,
  { kill }: Pick<Faults, 'kill'>,
  totals: DeathTotals,
  tell: (line: string) => void,
): Deaths => {
  const hadBegun = new Set<SimNode>()
  const chance = (share: number): boolean => random() < share

  /** The process that runs now loses power, unless it ends before. */
  const dieSoon = (
    node: SimNode,
    [least, most]: readonly [number, number],
    why: string,
    awayMs?: readonly [number, number],
  ): void => {
    const { life } = node
    time.after(least + random() * (most - least), () => {
      if (life === undefined || node.life !== life) return
      tell(`${node.name} loses power ${why}`)
      kill(node, true, awayMs)
    })
  }

  return {
    afterWords(node) {
      if (chance(AFTER_WORDS.share)) dieSoon(node, AFTER_WORDS.ms, 'after what it said')
    },
    afterChange(node, change) {
      if (change === 'removed') {
        if (chance(hadBegun.has(node) ? AFTER_REMOVAL.shareOfBegun : AFTER_REMOVAL.share))
          dieSoon(node, AFTER_REMOVAL.ms, 'after it removed a file of its log')
        return
      }
      hadBegun.delete(node)
      if (!chance(IN_FILE.share)) return
      hadBegun.add(node)
      totals.deathsInFiles += 1
      dieSoon(node, IN_FILE.ms, 'at the beginning of a file of its log', BACK_MS)
    },
  }
}
