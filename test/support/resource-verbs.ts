/** Verbs of resources for peer-verbs.ts. State: what was allocated, what was given, and what is worked on, by mesh. */
import type { AllocateOptions, Claim, HeldAllocation, Mesh } from '../../node/index.ts'

interface Known {
  readonly held: Map<string, HeldAllocation>
  readonly claims: Map<string, Claim>
}

const all = new Map<string, Known>()
const knownOf = (as: string): Known => {
  const known = all.get(as) ?? { held: new Map(), claims: new Map() }
  all.set(as, known)
  return known
}

const atOnce = new Map<string, { now: number; most: number }>()
const usesOf = (as: string): { now: number; most: number } => {
  const uses = atOnce.get(as) ?? { now: 0, most: 0 }
  atOnce.set(as, uses)
  return uses
}

export const resourceVerbs = (meshOf: (as: string) => Mesh) => ({
  /** Works for so long on each task of the type `using`, and tells who did. */
  workWith: async (as: string, { ms }: { ms: number }) => {
    const { tasks, self } = meshOf(as)
    const uses = usesOf(as)
    await tasks.work('using', async (_, { signal }) => {
      uses.now += 1
      uses.most = Math.max(uses.most, uses.now)
      await new Promise((resolve) => setTimeout(resolve, ms))
      uses.now -= 1
      signal.throwIfAborted()
      return self.name
    })
  },
  /** The most that it worked on at the same time. */
  mostAtOnce: async (as: string, _: undefined) => usesOf(as).most,
  offerResources: async (as: string, capacity: Record<string, number>) => {
    const { resources } = meshOf(as)
    const { claims } = knownOf(as)
    if (claims.size === 0) resources.onClaim((claim) => claims.set(claim.id, claim))
    await resources.offer(capacity)
  },
  /** @returns who gives each part */
  allocate: async (as: string, what: AllocateOptions & { id: string }) => {
    const held = await meshOf(as).resources.allocate(what)
    knownOf(as).held.set(what.id, held)
    return held.parts.map(({ owner }) => owner)
  },
  releaseAllocation: async (as: string, { id }: { id: string }) => {
    await meshOf(as).resources.release(id)
  },
  /** Why it has ended for its holder; nothing: it has not. */
  whyLost: async (as: string, { id }: { id: string }) => {
    const signal = knownOf(as).held.get(id)?.signal
    return signal?.aborted === true ? String(signal.reason?.message) : ''
  },
  /** What others have of this one. */
  givenNow: async (as: string, _: undefined) =>
    [...knownOf(as).claims.values()].filter(({ signal }) => !signal.aborted).map(({ id, units }) => ({ id, units })),
  resourceStatus: async (as: string, _: undefined) => [...(await meshOf(as).resources.status())],
})
