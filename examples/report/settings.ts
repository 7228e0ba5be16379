/** What all nodes of the main job have in common. */
import type { MeshOptionsInput } from '../../node/index.ts'

/** A head of 4 MiB can take three times as many bytes as UTF-8 (places that could not be decoded become U+FFFD). */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

export const meshSettings = (name: string, mesh: string, secret: string): MeshOptionsInput => ({
  name,
  mesh,
  secret,
  limits: { maxMessageBytes: MAX_MESSAGE_BYTES },
  log: 'error',
})

/** The five agents: name and module. Every skill is offered by two of them. */
export const AGENTS = ['outliner', 'keyworder', 'summarizer', 'linker', 'composer'] as const
export type AgentName = (typeof AGENTS)[number]

/** The agents found the mesh together, and vote; each keeps what it decided in its own folder. */
export const votingIn = (dataDir: string): MeshOptionsInput => ({
  dataDir,
  coordination: { expect: AGENTS.length },
})
