/* dir: a Lua module in C, built by halite cc as a shared object of its own.
 * dir.list(path) returns the sorted entries of a directory of the domain's
 * name space, each { name, kind, size }. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <lauxlib.h>
#include <lua.h>

static const char *kind(mode_t mode)
{
	if (S_ISDIR(mode))
		return "directory";
	if (S_ISREG(mode))
		return "file";
	if (S_ISLNK(mode))
		return "link";
	return "device";
}

static int list(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort);
	if (n < 0)
		return luaL_error(L, "%s: %s", path, strerror(errno));
	lua_createtable(L, n, 0);
	int out = 0;
	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
			struct stat st = {0};
			lua_pushfstring(L, "%s/%s", path, name);
			int bad = lstat(lua_tostring(L, -1), &st);
			lua_pop(L, 1);
			lua_createtable(L, 0, 3);
			lua_pushstring(L, name);
			lua_setfield(L, -2, "name");
			lua_pushstring(L, bad ? "?" : kind(st.st_mode));
			lua_setfield(L, -2, "kind");
			lua_pushinteger(L, st.st_size);
			lua_setfield(L, -2, "size");
			lua_rawseti(L, -2, ++out);
		}
		free(entries[i]);
	}
	free(entries);
	return 1;
}

int luaopen_dir(lua_State *L)
{
	static const luaL_Reg functions[] = {{"list", list}, {NULL, NULL}};
	luaL_newlib(L, functions);
	return 1;
}
