// Calendar arithmetic and formatting.
// env: TZ=UTC
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
int main(void)
{
	time_t v[] = {0, 951782400, 1700000000, -1, 4102444800, 253402300799};
	char b[200];
	for (int i = 0; i < 6; i++) {
		struct tm tm;
		gmtime_r(&v[i], &tm);
		strftime(b, sizeof b, "%Y-%m-%d %H:%M:%S %a %A %b %B %j %U %V %p %y %e %Z %%", &tm);
		printf("%s | %ld | %s", b, (long)(timegm(&tm) - v[i]), asctime(&tm));
	}
	struct tm tm = {.tm_year = 124, .tm_mon = 13, .tm_mday = -5, .tm_hour = 30};
	time_t t = mktime(&tm);
	printf("%ld %d %d %d\n", (long)t, tm.tm_mon, tm.tm_mday, tm.tm_wday);
	memset(&tm, 0, sizeof tm);
	char *e = strptime("2024-02-29 23:59:58 rest", "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s %d %d %d\n", e, tm.tm_year, tm.tm_yday, tm.tm_sec);
	printf("%g\n", difftime(100, 40));
	setenv("TZ", "EST5EDT,M3.2.0,M11.1.0", 1);
	tzset();
	localtime_r(&v[2], &tm);
	strftime(b, sizeof b, "%F %T %Z %z", &tm);
	printf("%s %ld %s %s\n", b, timezone, tzname[0], tzname[1]);
	return 0;
}
