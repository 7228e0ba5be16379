/** What all nodes of the main job have in common. */
import type { MeshOptionsInput } from '../../node/index.ts'
import type { Craft } from './results.ts'

export const meshSettings = (name: string, mesh: string, secret: string): MeshOptionsInput => ({
  name,
  mesh,
  secret,
  log: 'error',
})

/** The five agents: name and module. */
export const AGENTS = ['outliner', 'keyworder', 'summarizer', 'linker', 'composer'] as const
export type AgentName = (typeof AGENTS)[number]
export const isAgent = (name: string | undefined): name is AgentName => AGENTS.some((one) => one === name)

/** Each craft, and so each skill, is that of two agents, so that none is lost with one process. */
export const CRAFT_OF: Readonly<Record<Exclude<AgentName, 'composer'>, Craft>> = {
  outliner: 'structure',
  keyworder: 'content',
  summarizer: 'content',
  linker: 'structure',
}

/** The agents found the mesh together, and vote; each keeps what it decided in its own folder. */
export const votingIn = (dataDir: string): MeshOptionsInput => ({
  dataDir,
  coordination: { expect: AGENTS.length },
})
