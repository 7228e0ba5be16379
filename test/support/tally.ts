/** Calls that are counted at both ends: how many were made, run and answered, and which answers were wrong. */
import * as z from 'zod'
import type { Mesh } from '../../node/index.ts'
import { defineProtocol } from '../../protocols/define.ts'

export const tally = defineProtocol({
  name: 'tally',
  version: '1.0.0',
  // It must not run twice, so nothing tries it again: what is lost is seen.
  methods: { twice: { request: z.object({ n: z.int() }), response: z.object({ n: z.int() }) } },
})

export interface Tallied {
  answered: number
  wrong: number
  failed: number
  /** The first of them. */
  failure: string | undefined
  ms: number
}

/** @param count of all calls, of which `inFlight` are on their way at a time */
export const callTally = async (
  mesh: Pick<Mesh, 'to'>,
  to: string,
  { count, inFlight }: { count: number; inFlight: number },
): Promise<Tallied> => {
  const client = mesh.to(to, tally)
  const result: Tallied = { answered: 0, wrong: 0, failed: 0, failure: undefined, ms: 0 }
  const startedAt = performance.now()
  let next = 0
  const caller = async (): Promise<void> => {
    while (next < count) {
      next += 1
      const n = next
      try {
        const answer = await client.twice({ n })
        if (answer.n === 2 * n) result.answered += 1
        else result.wrong += 1
      } catch (error) {
        result.failed += 1
        result.failure ??= String(error)
      }
    }
  }
  await Promise.all(Array.from({ length: inFlight }, caller))
  result.ms = Math.round(performance.now() - startedAt)
  return result
}

/** Verbs for peer-verbs.ts. State: how often each mesh ran it. */
export const tallyVerbs = (meshOf: (as: string) => Mesh) => {
  const runs = new Map<string, number>()
  return {
    serveTally: async (as: string, _: undefined) => {
      await meshOf(as).serve(tally, {
        twice: ({ n }) => {
          runs.set(as, (runs.get(as) ?? 0) + 1)
          return { n: 2 * n }
        },
      })
    },
    tallied: async (as: string, _: undefined) => runs.get(as) ?? 0,
    callTally: async (as: string, { to, ...load }: { to: string; count: number; inFlight: number }) =>
      callTally(meshOf(as), to, load),
  }
}
