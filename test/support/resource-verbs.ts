/** Verbs of resources for peer-verbs.ts. State: what was allocated, and what was given, by mesh. */
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

export const resourceVerbs = (meshOf: (as: string) => Mesh) => ({
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
