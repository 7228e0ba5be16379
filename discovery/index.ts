/** The public entry of discovery: how peers find each other, and the directory of agents. */
export type { Activity } from './activity.ts'
export { pick } from './choose.ts'
export { describe } from './describe.ts'
export type { DirectoryStats } from './directory/counts.ts'
export type { Candidate } from './directory/offers.ts'
export { createDirectory, type Directory } from './directory.ts'
export type { Agent, Change, EndReason } from './directory-state.ts'
export type { AgentRecord, MethodRecord, ProtocolRecord } from './record.ts'
