/** The real servers that tests start. */
export type ServerName = 'redis' | 'postgres' | 'mariadb' | 'mosquitto'

export declare function findServer(
  name: ServerName,
): { programs: Record<string, string>; environment: Record<string, string> } | undefined

export declare const mustHaveServers: boolean

export declare function adviceFor(name: ServerName): string
