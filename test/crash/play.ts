/** One scenario: what happens, then whether all is well after it. Keeps no state. */
import type { Stage, Verdict } from './stage.ts'

export interface Findings {
  readonly figures: Readonly<Record<string, number>>
  readonly violations: readonly string[]
}

export type Scene = (stage: Stage) => Promise<Findings>

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** What a scene finds, what is there after it, and how many terms it took. */
export const play = async (stage: Stage, scene: Scene): Promise<Verdict> => {
  const before = await stage.term()
  const found = await scene(stage).catch(
    (error: unknown): Findings => ({ figures: {}, violations: [`it did not come to its end: ${messageOf(error)}`] }),
  )
  const terms = (await stage.term()) - before
  const after = await stage.settle()
  return {
    figures: { ...after.figures, terms, ...found.figures },
    violations: [...found.violations, ...after.violations],
  }
}
