/** One member that attacks a node, while an honest pair uses it: what the pair and the node's memory notice. */
import type { Connection } from '@libp2p/interface'
import type { Findings } from '../attack.ts'
import { delayOf, harmOf, LIMITS } from '../judge.ts'
import { type Noticed, notice, type Pair } from '../members/honest.ts'
import { openTown, type Town } from '../members/town.ts'
import type { Attacker } from '../raw/attacker.ts'

export interface Scene extends Pair {
  readonly town: Town
  readonly attacker: Attacker
  readonly connection: Connection
  readonly tried: Record<string, number>
  /** More that the attacker reached. */
  readonly reached: string[]
}

export const count = (tried: Record<string, number>, what: string, more = 1): void => {
  tried[what] = (tried[what] ?? 0) + more
}

const findingsOf = (
  noticed: Noticed,
  { tried, reached }: Pick<Scene, 'tried' | 'reached'>,
  isTimed: boolean,
): Findings => ({
  tried,
  refused: noticed.refused,
  before: noticed.before,
  during: noticed.during,
  memory: noticed,
  reached: [...(isTimed ? delayOf(noticed) : []), ...harmOf(noticed, LIMITS.grownByMemberMib), ...reached],
})

interface Manner {
  /** False where honest processes start meanwhile, which takes the processors of this machine. */
  readonly isTimed?: boolean
  /** What goes before it: a burst that is over soon. */
  begin?(scene: Scene): Promise<void>
}

export const asMember = async (
  attack: (scene: Scene) => Promise<void>,
  { isTimed = true, begin = async () => {} }: Manner = {},
): Promise<Findings> => {
  const town = await openTown()
  try {
    const victim = await town.add('victim')
    const caller = await town.add('caller')
    const attacker = await town.attacker()
    const connection = await attacker.member(victim.address(), town.secret)
    const scene: Scene = { town, victim, caller, attacker, connection, tried: {}, reached: [] }
    const noticed = await notice(
      scene,
      () => attack(scene),
      () => begin(scene),
    )
    return findingsOf(noticed, scene, isTimed)
  } finally {
    await town.end()
  }
}
