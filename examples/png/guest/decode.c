/* The C side: libpng as one function. Everything it gets is hostile, and it is not
 * trusted itself: what it does wrong stays in its sandbox. */
#include <png.h>
#include <stdlib.h>

struct result { unsigned width, height, pixels; char message[64]; };

/* decode puts size and address of the picture, 4 bytes a pixel, into *r. It is 0, or
 * there is a message. */
int decode(const unsigned char *data, size_t n, size_t max_pixels, struct result *r)
{
	png_image image = { .version = PNG_IMAGE_VERSION };
	void *pixels = 0;

	if (!png_image_begin_read_from_memory(&image, data, n)) goto failed;
	if ((unsigned long long)image.width * image.height > max_pixels) {
		snprintf(r->message, sizeof r->message, "%u by %u pixels are too many", image.width, image.height);
		png_image_free(&image);
		return -1;
	}
	image.format = PNG_FORMAT_RGBA;
	if (!(pixels = malloc(PNG_IMAGE_SIZE(image)))) {
		snprintf(r->message, sizeof r->message, "out of memory");
		png_image_free(&image);
		return -1;
	}
	if (!png_image_finish_read(&image, 0, pixels, 0, 0)) goto failed;
	r->width = image.width;
	r->height = image.height;
	r->pixels = (unsigned)(size_t)pixels;
	return 0;
failed:
	snprintf(r->message, sizeof r->message, "%.63s", image.message);
	free(pixels);
	return -1;
}
