/** What all nodes of the main job have in common. */
import type { MeshOptionsInput } from '../../node/index.ts'
import type { Skill } from './results.ts'

/** What is told of a batch of documents that are all links is larger than the usual limit. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

export const meshSettings = (name: string, mesh: string, secret: string): MeshOptionsInput => ({
  name,
  mesh,
  secret,
  limits: { maxMessageBytes: MAX_MESSAGE_BYTES },
  log: 'error',
})

/** The five agents: name and module. */
export const AGENTS = ['outliner', 'keyworder', 'summarizer', 'linker', 'composer'] as const
export type AgentName = (typeof AGENTS)[number]
export const isAgent = (name: string | undefined): name is AgentName => AGENTS.some((one) => one === name)

/** Each skill is that of two agents, so that none is lost with one process. */
export const SKILLS_OF: Readonly<Record<AgentName, readonly Skill[]>> = {
  outliner: ['outline', 'keywords'],
  keyworder: ['keywords', 'summary'],
  summarizer: ['summary', 'links'],
  linker: ['links', 'outline'],
  composer: [],
}

/** The agents found the mesh together, and vote; each keeps what it decided in its own folder. */
export const votingIn = (dataDir: string): MeshOptionsInput => ({
  dataDir,
  coordination: { expect: AGENTS.length },
})
