/**
 * What the figures of the house may be at most. They only go down: who brings one down brings its limit down.
 * What makes them fewer and nothing easier to read is no gain: no file is split or glued for a number.
 */
export const LIMITS = {
  flatInNode: 3,
  crowdedRooms: 0,
  longFiles: 11,
  longFunctions: 5,
  crumbs: 23,
  circles: 0,
  repeatedTypes: 0,
  repeatedFiles: 0,
} as const

/** Words of the documents that everybody reads first. */
export const PAGE_WORDS = { 'README.md': 3_000, 'ARCHITECTURE.md': 3_000 } as const
