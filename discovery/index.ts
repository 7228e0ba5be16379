/** The public entry of discovery: how peers find each other, and the directory of agents. */
export type { Activity } from './agent-activity.ts'
export { createDirectory, type Directory } from './directory/directory.ts'
export type { DirectoryStats } from './directory/directory-counts.ts'
export type { AgentRecord, MethodRecord, ProtocolRecord } from './directory/record/agent-record.ts'
export { describe } from './directory/record/describe-protocol.ts'
export type { Agent, Change, EndReason } from './directory/tables/directory-state.ts'
export type { Candidate } from './directory/tables/offer-index.ts'
export { pick } from './two-choices.ts'
