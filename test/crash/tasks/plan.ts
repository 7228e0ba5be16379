/** The tasks of a crash run: which wait for which, and what each comes to. Pure. */
import { createRandom } from '../../soak/random.ts'
import type { Plan } from './verbs.ts'

export const EFFECTS = 3
export const TASK_TYPE = 'crash-sum'
/** A task that others wait for is among the last so many before it. */
const REACH = 40

export const taskId = (n: number): string => `crash-${String(n).padStart(5, '0')}`

/** For each task, those that it waits for, counted from the first one. */
export const dependenciesOf = ({ tasks, seed, from = 0 }: Plan): readonly (readonly number[])[] => {
  const random = createRandom(seed + from)
  return Array.from({ length: tasks }, (_, n) => {
    const count = n === 0 || random.next() < 0.5 ? 0 : 1 + random.below(2)
    const some = Array.from({ length: count }, () => n - 1 - random.below(Math.min(n, REACH)))
    return [...new Set(some)]
  })
}

/** What its effects add to its input. */
export const resultOf = (n: number): number => n + (EFFECTS * (EFFECTS + 1)) / 2
