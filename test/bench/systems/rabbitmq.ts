import type { System } from '../system.ts'

export const system: System = {}
