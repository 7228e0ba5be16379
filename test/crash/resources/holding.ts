/** A program of a crash run that uses what other nodes give, and looks at what its own node gives. State: what it has. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Claim, isParleyError, type Mesh } from '../../../node/index.ts'
import type { TaskNote } from '../tasks/verbs.ts'
import { CAPACITY } from '../tasks/works.ts'

const LANES = 6
const HELD_MS = 400
const WAIT_MS = 2_000
const PRIORITIES = ['low', 'normal', 'high', 'critical'] as const

export interface Holding {
  end(): Promise<{ had: number; denied: number }>
}

const below = (count: number): number => Math.floor(Math.random() * count)

/** Tells where more is given than there is. */
const watchClaims = ({ resources }: Mesh, tell: (note: TaskNote) => void): void => {
  const claims = new Set<Claim>()
  resources.onClaim((claim) => {
    claims.add(claim)
    claim.signal.addEventListener('abort', () => claims.delete(claim))
    const given = [...claims].reduce((sum, { units }) => sum + (units.cpu ?? 0), 0)
    if (given > CAPACITY.cpu) tell({ type: 'wrong', task: claim.id, what: `${given} cpu are given` })
  })
}

export const startHolding = (mesh: Mesh, tell: (note: TaskNote) => void): Holding => {
  const counts = { had: 0, denied: 0 }
  let isOver = false
  watchClaims(mesh, tell)
  const lane = async (): Promise<void> => {
    while (!isOver) {
      await delay(below(HELD_MS))
      try {
        const held = await mesh.resources.allocate({
          ...{ units: { cpu: 1 + below(2) }, count: 1 + below(2), spread: below(2) === 0, timeoutMs: WAIT_MS },
          ...{ priority: PRIORITIES[below(4)] ?? 'normal', preemptible: below(2) === 0, preempts: below(3) === 0 },
        })
        counts.had += 1
        await delay(below(HELD_MS))
        // Nobody decides at the moment: it is given back later.
        for (let isReleased = false; !isReleased; )
          isReleased = await held.release().then(
            () => true,
            () => delay(50, false),
          )
      } catch (error) {
        if (!isParleyError(error)) throw error
        counts.denied += 1
      }
    }
  }
  const lanes = Promise.all(Array.from({ length: LANES }, lane))
  return {
    async end() {
      isOver = true
      await lanes
      return counts
    },
  }
}
