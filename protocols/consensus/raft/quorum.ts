/** Counting votes and copies. Pure; checked against a dumb version on random inputs. */

/** How many of `voters` are more than half of them. */
export const majority = (voters: number): number => Math.floor(voters / 2) + 1

export type VoteResult = 'won' | 'lost' | 'pending'

/**
 * @param votes what each peer answered; answers of those who are no voters do not count
 * @returns lost as soon as those who have not answered cannot make a majority any more
 */
export const countVotes = (voters: readonly string[], votes: ReadonlyMap<string, boolean>): VoteResult => {
  const needed = majority(voters.length)
  const granted = voters.filter((id) => votes.get(id) === true).length
  const refused = voters.filter((id) => votes.get(id) === false).length
  if (granted >= needed) return 'won'
  return refused > voters.length - needed ? 'lost' : 'pending'
}

/**
 * The highest number that a majority of the voters has reached; 0 where there is no voter.
 * @param reached of each voter; 0 where nothing is known
 */
export const reachedByMajority = (voters: readonly string[], reached: (id: string) => number): number => {
  const numbers = voters.map(reached).sort((a, b) => b - a)
  return numbers[majority(voters.length) - 1] ?? 0
}
